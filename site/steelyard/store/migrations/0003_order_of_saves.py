"""In which order a page of an exam made its saves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("drafts") as drafts:
        drafts.add_column(sa.Column("tab", sa.String(length=16), nullable=True))
        drafts.add_column(sa.Column("nth", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("drafts") as drafts:
        drafts.drop_column("nth")
        drafts.drop_column("tab")
