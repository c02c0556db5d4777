-- Where single objects belong, by a campaign; null: where storage.locations says. And what a changed storage.locations does to
-- objects that were there before.

alter table stored_object
  add column assigned_to text[],
  add column assigned_at timestamptz,
  add column read_first text,                          -- a location that is read before nearer ones
  add constraint stored_object_assigned check (
    (assigned_to is null) = (assigned_at is null) and coalesce(cardinality(assigned_to), 1) > 0);

-- `location_ids` is without drained locations, these are as configured. An assignment from before `configured_since` counts no
-- more. Objects from before `held_before` stay where they belonged, at `held_ids`, until a campaign has moved them.
alter table home
  add column configured_ids jsonb,
  add column configured_since timestamptz,
  add column held_ids jsonb,
  add column held_before timestamptz,
  add constraint home_held check ((held_ids is null) = (held_before is null));
