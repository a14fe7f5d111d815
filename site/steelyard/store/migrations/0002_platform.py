"""Exams, reviews, devices, instructors and classes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from steelyard.store.resumed import add_column, create_index, create_table

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)
LEARNER = sa.String(length=32)


def upgrade() -> None:
    add_column("attempts", sa.Column("deadline", Moment, nullable=True))
    create_index("ix_attempts_deadline", "attempts", ["deadline"])
    create_table(
        "drafts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("chosen", sa.String(length=26), nullable=False),
        sa.Column("language", sa.String(length=20), nullable=False),
        sa.Column("saved", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt", "question"],
            ["items.attempt", "items.question"],
            name="fk_drafts_attempt_question",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_drafts"),
    )
    create_index("ix_drafts_attempt_question", "drafts", ["attempt", "question"])
    create_table(
        "submissions",
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("submitted", Moment, nullable=False),
        sa.Column("by", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt"], ["attempts.id"], name="fk_submissions_attempt", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("attempt", name="pk_submissions"),
    )
    create_table(
        "undos",
        sa.Column("answer", sa.Integer(), nullable=False),
        sa.Column("undone", Moment, nullable=False),
        sa.ForeignKeyConstraint(["answer"], ["answers.id"], name="fk_undos_answer", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("answer", name="pk_undos"),
    )
    create_table(
        "transfers",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("learner", LEARNER, nullable=False),
        sa.Column("expires", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["learner"], ["learners.id"], name="fk_transfers_learner", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name="pk_transfers"),
    )
    create_index("ix_transfers_learner", "transfers", ["learner"])
    create_table(
        "remnants",
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("language", sa.String(length=20), nullable=False),
        sa.Column("chosen", sa.String(length=26), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["versions.digest"], name="fk_remnants_version"),
        sa.PrimaryKeyConstraint("version", "language", "chosen", name="pk_remnants"),
    )
    create_table(
        "instructors",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("password", sa.String(length=200), nullable=False),
        sa.Column("created", Moment, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_instructors"),
    )
    create_table(
        "logins",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("instructor", sa.String(length=60), nullable=False),
        sa.Column("expires", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["instructor"], ["instructors.name"], name="fk_logins_instructor", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name="pk_logins"),
    )
    create_index("ix_logins_instructor", "logins", ["instructor"])
    create_table(
        "failed_logins",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account", sa.String(length=60), nullable=False),
        sa.Column("address", sa.String(length=60), nullable=False),
        sa.Column("failed", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_failed_logins"),
    )
    create_index("ix_failed_logins_account_failed", "failed_logins", ["account", "failed"])
    create_table(
        "classes",
        sa.Column("code", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("instructor", sa.String(length=60), nullable=False),
        sa.Column("created", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["instructor"], ["instructors.name"], name="fk_classes_instructor", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("code", name="pk_classes"),
    )
    create_index("ix_classes_instructor", "classes", ["instructor"])
    create_table(
        "members",
        sa.Column("class_code", sa.String(length=20), nullable=False),
        sa.Column("learner", LEARNER, nullable=False),
        sa.Column("pseudonym", sa.String(length=40), nullable=False),
        sa.Column("extra_percent", sa.Integer(), nullable=False),
        sa.Column("joined", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["class_code"], ["classes.code"], name="fk_members_class_code", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["learner"], ["learners.id"], name="fk_members_learner", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("class_code", "learner", name="pk_members"),
        sa.UniqueConstraint("class_code", "pseudonym", name="uq_members_class_code_pseudonym"),
    )
    create_index("ix_members_learner", "members", ["learner"])


def downgrade() -> None:
    for index, table in (
        ("ix_members_learner", "members"),
        ("ix_classes_instructor", "classes"),
        ("ix_failed_logins_account_failed", "failed_logins"),
        ("ix_logins_instructor", "logins"),
    ):
        op.drop_index(index, table_name=table)
        op.drop_table(table)
    op.drop_table("instructors")
    op.drop_table("remnants")
    op.drop_index("ix_transfers_learner", table_name="transfers")
    op.drop_table("transfers")
    op.drop_table("undos")
    op.drop_table("submissions")
    op.drop_index("ix_drafts_attempt_question", table_name="drafts")
    op.drop_table("drafts")
    with op.batch_alter_table("attempts") as attempts:
        attempts.drop_index("ix_attempts_deadline")
        attempts.drop_column("deadline")
