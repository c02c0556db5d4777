/** The program `strict-s3`. The file bin/strict-s3 starts it under the right Node. */
import { runCommand } from './command/run.ts'

process.exitCode = await runCommand(process.argv.slice(2), process.env)
