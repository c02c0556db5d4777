-- Whether the removal of a key was ever asked for by a decision of an administrator: before anything adopts it.
create index collection_item_claimed on collection_item (location_id, key) where claimed_at is not null;
