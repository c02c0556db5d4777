/*
 * Switches of a run, read from the environment (`SWITCHES="restore without_R1"`), so that one build serves
 * all runs. Those that begin with `without` take a rule away; the others say what may happen. README.md
 * explains each.
 */
#define ALL_SWITCHES(X) \
  X(alone) X(restore) X(one_disk) X(late_deletes) X(strays) X(outside_loss) X(only_tokens) X(advance_at_once) \
    X(only_direct) X(few_moves) \
  X(nobody_deletes) X(only_promise) \
  X(without_R1) X(without_R1a) X(without_R2) X(without_R3) X(without_wait) X(without_R3a) X(without_R3b) \
    X(without_R3c) X(without_R3c_at_home) \
  X(without_R4) X(without_R5) X(without_R6) X(without_R6_for_strays) X(without_duplicate_check) X(duplicate_without_look)
c_decl {
#define AS_SWITCH(name) switch_##name,
#define AS_SWITCH_TEXT(name) #name,
enum { ALL_SWITCHES(AS_SWITCH) switch_count };
static const char *switch_names[] = { ALL_SWITCHES(AS_SWITCH_TEXT) };
static int is_on[switch_count];
__attribute__((constructor)) static void read_switches(void)
{
	char words[1000];
	snprintf(words, sizeof words, "%s", getenv("SWITCHES") ? getenv("SWITCHES") : "");
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) {
		int i = 0;
		while (i < switch_count && strcmp(word, switch_names[i])) i++;
		if (i == switch_count) { fprintf(stderr, "no such switch: %s\n", word); exit(2); }
		is_on[i] = 1;
	}
}
}
#define IS(name) c_expr { is_on[switch_##name] }
