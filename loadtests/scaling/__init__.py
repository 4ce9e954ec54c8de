"""Our autoscaler against models of Knative's, the HPA and KEDA: the same traffic, simulated."""
