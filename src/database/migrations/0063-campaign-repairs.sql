-- Whether there is a catalogue that nobody has read is asked before each file that is given up.
create index stray_catalogue on stray (location_id, key) where kind = 'catalogue';

-- A rollback takes an object back whose old copy has not begun to go: reclaiming -> returning.
create or replace function guard_campaign_object() returns trigger language plpgsql as $$
begin
  if new.state <> old.state and (old.state, new.state) not in (
    ('pending', 'moving'), ('pending', 'unfit'), ('pending', 'gone'), ('unfit', 'pending'),
    ('moving', 'held'), ('moving', 'unfit'), ('moving', 'failed'), ('moving', 'returning'), ('moving', 'gone'),
    ('failed', 'pending'), ('failed', 'gone'),
    ('held', 'reclaiming'), ('held', 'returning'), ('held', 'gone'),
    ('reclaiming', 'reclaimed'), ('reclaiming', 'returning'), ('reclaiming', 'kept'), ('reclaiming', 'gone'),
    ('returning', 'returned'), ('returning', 'pending'), ('returning', 'kept'), ('returning', 'failed'), ('returning', 'gone'),
    ('kept', 'held'), ('kept', 'returning'), ('kept', 'gone')) then
    raise exception 'an object of a campaign does not go from % to %', old.state, new.state using errcode = 'GL001';
  end if;
  return new;
end $$;

-- A proposal that another change of storage.locations has ended, and not somebody who does not want it.
alter table campaign add column is_withdrawn boolean not null default false;

-- Backups and the catalogue are moved by no campaign, and so wait for no answer; where they belong says the configuration alone.
update home set held_ids = null, held_before = null where kind in ('database-backup', 'catalogue');
update stored_object set assigned_to = null, assigned_at = null, read_first = null
  where kind in ('database-backup', 'catalogue') and assigned_to is not null;
