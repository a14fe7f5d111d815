"""What instructors see behind their login: classes, statistics, results, and problems of question files."""

from steelyard.web.instructor import classes, login, overview, quizzes
from steelyard.web.instructor.guard import bp

__all__ = ["bp", "classes", "login", "overview", "quizzes"]
