/** A reporter of node's test runner: one line of JSON for each test that ended, suites left out. */
import type { TestEvent } from 'node:test/reporters'

/**
 * `isHook`: not the test failed, but what runs before or after it. `error`: of a test that failed. `nesting`:
 * 0 at the top level of a file.
 */
export type EndedTest = {
  name: string
  isPassed: boolean
  isSkipped: boolean
  isHook: boolean
  error: string
}

export default async function* jsonLines(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    if (data.details.type === 'suite') continue
    const failure = type === 'test:fail' ? data.details.error : undefined
    const { failureType, cause } = (failure ?? {}) as { failureType?: string; cause?: unknown }
    const ended: EndedTest = {
      name: data.name,
      isPassed: type === 'test:pass',
      isSkipped: data.skip !== undefined,
      isHook: failureType === 'hookFailed',
      error: cause instanceof Error ? cause.message : String(cause ?? ''),
    }
    yield `${JSON.stringify(ended)}\n`
  }
}
