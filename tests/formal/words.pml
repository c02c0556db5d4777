/*
 * The names of all moves, how often each was taken (the test asserts that none is dead), and what a trace
 * prints.
 */
#define MOVES(X) \
  X(upload_begins) X(upload_arrives) X(upload_is_acknowledged) X(duplicate_is_acknowledged) X(row_goes) \
  X(direct_upload_begins) X(direct_upload_is_acknowledged) \
  X(offload_begins) X(put_lands) X(put_is_lost) X(answer_is_lost) X(offload_is_proven) \
  X(adopts_written) X(gives_up_written) X(deletes_remote) X(deletion_lands) X(old_requests_are_over) \
    X(deletes_local) X(returns_to_verified) \
  X(changes_class) X(clears_stray) X(adopts_stray) \
  X(turns_local) X(turns_remote) X(fetch_begins) X(fetch_arrives) \
  X(finds_suspect) X(finds_good) X(repair_is_acknowledged) X(user_deletes) X(user_deletes_in_vain) \
    X(purges_remote) X(purges_local) X(twin_gives_up) \
  X(intends_token) X(advances_token) X(commits_token) X(compares_token) X(notices_conflict) X(adopts_location) \
  X(settles) X(wait_begins) X(wait_is_over) X(waits_anew) \
  X(crashes) X(snapshot_is_taken) X(snapshot_is_restored) X(copy_starts) X(bit_flips) \
  X(is_lost_outside) X(PROMISE_IS_BROKEN) X(ORIGINAL_IS_ROBBED) X(READER_GETS_WRONG_BYTES)
#define AS_NUMBER(move) number_of_##move,
#define AS_TEXT(move) #move,
c_decl {
enum { MOVES(AS_NUMBER) move_count };
static const char *move_names[] = { MOVES(AS_TEXT) };
static long times_taken[move_count];
static void note_move(int move, int installation, int object)
{
	times_taken[move]++;
	if (getenv("TRACE")) printf("%s, object %d: %s\n", installation ? "copy" : "original", object, move_names[move]);
}
__attribute__((destructor)) static void report_moves(void)
{
	if (!getenv("TRACE")) for (int i = 0; i < move_count; i++) printf("TAKEN %ld %s\n", times_taken[i], move_names[i]);
}
}
/* Of the move under way only: back to 0 at its end, so that they make no states. */
byte who;
byte what;
#define DID(move, l, o) who = l; what = o; c_code { note_move(number_of_##move, now.who, now.what); }; who = 0; \
  what = 0;
