"""Quizzes, questions, attempts, exams and review."""
