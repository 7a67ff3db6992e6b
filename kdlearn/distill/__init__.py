"""What a student can learn from a teacher: one file per idea."""
