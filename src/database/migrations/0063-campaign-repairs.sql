-- Whether there is a catalogue that nobody has read is asked before each file that is given up.
create index stray_catalogue on stray (location_id, key) where kind = 'catalogue';
