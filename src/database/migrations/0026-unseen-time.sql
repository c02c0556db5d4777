-- Time that passed since the last look at the clock is a gap before anybody has noted it: a jump makes what recurs due at once,
-- and the next look comes up to a minute later. An hour, as in src/database/clock.ts.
create or replace function lived_since(since timestamptz) returns interval
language sql stable as $$
  select now() - since - coalesce((
    select sum(least(until_at, now()) - greatest(from_at, since))
    from (
      select from_at, until_at from clock_gap
      union all
      select seen_at, now() from clock_seen where now() - seen_at > interval '1 hour'
    ) as gap
    where until_at > since and from_at < now()), interval '0')
$$;
