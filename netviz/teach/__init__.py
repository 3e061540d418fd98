"""What a lesson asks of its learner."""
