-- Nothing else looks events up by their key.
drop index if exists placement_event_key;
