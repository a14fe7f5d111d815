"""In which order a page of an exam made its saves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from steelyard.store.resumed import add_column

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_column("drafts", sa.Column("tab", sa.String(length=16), nullable=True))
    add_column("drafts", sa.Column("nth", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("drafts") as drafts:
        drafts.drop_column("nth")
        drafts.drop_column("tab")
