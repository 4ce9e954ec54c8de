"""Pure scaling decisions: observation, policy, state and clock in; decision with reason out."""
