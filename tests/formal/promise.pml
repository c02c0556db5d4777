/* What must always hold. */
#define IS_RIGHT_IN_BUCKET(o) (bucket[SLOT(o, 0)] == RIGHT || bucket[SLOT(o, 1)] == RIGHT)
/* A key that a deletion is on its way to is as good as gone. */
#define WILL_STAY_IN_BUCKET(o) ((bucket[SLOT(o, 0)] == RIGHT && !isDeleting[SLOT(o, 0)]) || \
  (bucket[SLOT(o, 1)] == RIGHT && !isDeleting[SLOT(o, 1)]))
#define IS_RIGHT_SOMEWHERE(o) (IS_RIGHT_IN_BUCKET(o) || disk[ON(ORIGINAL, o)] == RIGHT || \
  disk[ON(COPY, o)] == RIGHT)

/* While right bytes of an acknowledged original exist, no operation of ours removes the last of them. */
#if OBJECTS == 1
#define PROMISE_IS_KEPT (!acknowledged[0] || IS_RIGHT_SOMEWHERE(0))
#else /* the same bytes: either will do */
#define PROMISE_IS_KEPT (!(acknowledged[0] || acknowledged[1]) || IS_RIGHT_SOMEWHERE(0) || IS_RIGHT_SOMEWHERE(1))
#endif
/* The original's own copies, while it is the installation: that the copy has one is no comfort. */
#define IS_ROBBED(o) (object[AT(ORIGINAL, o)] == LINKED && acknowledged[o] && !isSuperseded && \
  disk[ON(ORIGINAL, o)] != RIGHT && !IS_RIGHT_IN_BUCKET(o))
