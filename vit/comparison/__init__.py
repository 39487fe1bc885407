"""Many trainings on one test set: planned, carried out side by side or on a cluster, and looked into."""
