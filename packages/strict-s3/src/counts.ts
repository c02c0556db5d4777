/** What a server was asked for: tests hold budgets of requests and bytes against it. */
import type { OperationName } from './operation-names.ts'

export type Counts = {
  /** Requests by operation, answered or not, refused ones included. */
  requests: Partial<Record<OperationName, number>>
  /** Error answers by S3 code. */
  errors: Record<string, number>
  total: number
  /** Body bytes as they came over the wire, framing included, headers not. */
  bytesIn: number
  /** Body bytes sent, headers not. */
  bytesOut: number
  /** Requests of one operation. */
  of(operation: OperationName): number
  reset(): void
}

export function createCounts(): Counts {
  return {
    requests: {},
    errors: {},
    total: 0,
    bytesIn: 0,
    bytesOut: 0,
    of(operation) {
      return this.requests[operation] ?? 0
    },
    reset() {
      this.requests = {}
      this.errors = {}
      this.total = 0
      this.bytesIn = 0
      this.bytesOut = 0
    },
  }
}
