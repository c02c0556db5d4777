/**
 * A thread of a media process, where the kernel can't tie its end to its parent's (see process-limits.ts). A
 * thread, because a decoder that is stuck in native code holds up the main one. `workerData` is the parent's
 * pid; an orphan gets another one.
 */
import { workerData } from 'node:worker_threads'

const LOOK_EVERY_MS = 500

setInterval(() => {
  // The whole group: ExifTool's Perl is in it.
  if (process.ppid !== workerData) process.kill(-process.pid, 'SIGKILL')
}, LOOK_EVERY_MS)
