-- Wrong bytes of it went out before that was known: see src/placement/reads/sent-wrong.ts.
alter table stored_object add column sent_wrong_at timestamptz;
