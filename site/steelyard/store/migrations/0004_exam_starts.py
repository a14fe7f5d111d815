"""When an exam that has begun closes, and which members of a class have begun one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("attempts") as attempts:
        attempts.add_column(sa.Column("closes", Moment, nullable=True))
    op.create_table(
        "exam_starts",
        sa.Column("class_code", sa.String(length=20), nullable=False),
        sa.Column("pseudonym", sa.String(length=200), nullable=False),
        sa.Column("quiz", sa.Text(), nullable=False),
        sa.Column("attempt", sa.String(length=32), nullable=False),
        sa.Column("started", Moment, nullable=False),
        sa.ForeignKeyConstraint(
            ["class_code"], ["classes.code"], name="fk_exam_starts_class_code", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("class_code", "pseudonym", "quiz", name="pk_exam_starts"),
    )


def downgrade() -> None:
    op.drop_table("exam_starts")
    with op.batch_alter_table("attempts") as attempts:
        attempts.drop_column("closes")
