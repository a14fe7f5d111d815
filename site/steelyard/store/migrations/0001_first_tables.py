"""The first tables: learners, versions, attempts, items, answers, guesses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from steelyard.store.resumed import create_index, create_table

revision = "0001"
down_revision = None
branch_labels = ("default",)
depends_on = None

Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_table(
        "learners",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("created", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_learners"),
    )
    create_table(
        "versions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created", Moment, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_versions"),
    )
    create_index("ix_versions_question", "versions", ["question"])
    create_table(
        "attempts",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("learner", sa.String(length=32), nullable=False),
        sa.Column("quiz", sa.Text(), nullable=True),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("started", Moment, nullable=False),
        sa.ForeignKeyConstraint(["learner"], ["learners.id"], name="fk_attempts_learner", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
    )
    create_index("ix_attempts_learner", "attempts", ["learner"])
    create_table(
        "items",
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("letters", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(["attempt"], ["attempts.id"], name="fk_items_attempt", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["version"], ["versions.digest"], name="fk_items_version"),
        sa.PrimaryKeyConstraint("attempt", "question", name="pk_items"),
        sa.UniqueConstraint("attempt", "position", name="uq_items_attempt_position"),
    )
    create_index("ix_items_version", "items", ["version"])
    create_table(
        "answers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("chosen", sa.String(length=26), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("language", sa.String(length=20), nullable=False),
        sa.Column("answered", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt", "question"],
            ["items.attempt", "items.question"],
            name="fk_answers_attempt_question",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_answers"),
        sa.UniqueConstraint("attempt", "question", name="uq_answers_attempt_question"),
    )
    create_table(
        "guesses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("claim", sa.String(length=60), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("measured", sa.Double(), nullable=False),
        sa.Column("guessed", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt", "question"],
            ["items.attempt", "items.question"],
            name="fk_guesses_attempt_question",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_guesses"),
        sa.UniqueConstraint("attempt", "question", name="uq_guesses_attempt_question"),
    )


def downgrade() -> None:
    op.drop_table("guesses")
    op.drop_table("answers")
    op.drop_index("ix_items_version", table_name="items")
    op.drop_table("items")
    op.drop_index("ix_attempts_learner", table_name="attempts")
    op.drop_table("attempts")
    op.drop_index("ix_versions_question", table_name="versions")
    op.drop_table("versions")
    op.drop_table("learners")
