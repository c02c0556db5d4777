-- Which backups tell of this database's own past, and which of another one's.

-- Of the backup that this database was restored from: when its snapshot was taken, and its place among
-- those that the ledger met before and after. Null: restored by other means, or never.
alter table installation add column restored_from timestamptz;
alter table installation add column restored_number bigint;

-- Made after the backup that was restored, so that it holds what this database has never known.
alter table database_backup add column is_of_another_line boolean not null default false;
