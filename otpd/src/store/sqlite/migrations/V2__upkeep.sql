-- From when on nothing in the budget counts any more, so that it may be deleted. Rows from before
-- this column wait until they are written next: nobody knows when they will be idle.
ALTER TABLE budget ADD COLUMN idle_at INTEGER NOT NULL DEFAULT 9223372036854775807;
CREATE INDEX budget_idle ON budget (idle_at);

-- The audit is cut off by time, and read by time, by account and by request.
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_account ON audit (account, id);
CREATE INDEX audit_request ON audit (request) WHERE request IS NOT NULL;
