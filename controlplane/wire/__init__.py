"""The contract's JSON on one side, `controlplane.model` on the other; nothing else knows both.

Every shape that goes in refuses unknown fields. Two generations of bodies are accepted wherever a
body is accepted; what goes out follows the family of the path (`families`).
"""
