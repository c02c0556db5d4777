import { AppError } from '../../errors.ts'
import { type AssetReceipt, assetReceipt } from '../../library/assets/receipts.ts'
import type { Receipt } from '../../placement/reports/receipt.ts'
import { isUuid } from '../../uuid.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes, columns, type Style } from '../text.ts'

const PROOF = ['exists', 'size', 'enforced on the way', 'digest held there', 'read back']

/** Where every file of an asset is, and what proves it. */
export async function printReceipt(
  context: CliContext,
  assetId: string,
  options: { json?: boolean },
): Promise<ExitCode> {
  if (!isUuid(assetId)) {
    throw new AppError(
      'invalid',
      `"${assetId}" is not the id of an asset: it is in the URL of the photo's page.`,
    )
  }
  const { receipt, locationIds } = await context.withPlacement(async (placement) => ({
    receipt: await assetReceipt({ db: placement.db, placement }, assetId),
    locationIds: [...placement.locations.keys()],
  }))
  context.print(
    options.json ? JSON.stringify(receipt, null, 2) : describeReceipt(receipt, locationIds, context.style),
  )
  return receipt.replicas.some((replica) => replica.state === 'verified') ? EXIT.done : EXIT.attention
}

export function describeReceipt(receipt: AssetReceipt, locationIds: string[], style: Style): string {
  const proven = receipt.replicas.filter((replica) => replica.state === 'verified')
  const sentence =
    proven.length === 0
      ? `${receipt.originalFileName} has no verified copy.`
      : `${receipt.originalFileName} is proven at ${proven.map((replica) => replica.location).join(' and ')}.`
  const files = [receipt as Receipt, ...receipt.files]
  return [
    style.bold(sentence),
    '',
    ...columns([
      ['size', `${bytes(receipt.size)} (${receipt.size} bytes)`],
      ['sha256', receipt.sha256],
      ['sha1', receipt.sha1],
    ]),
    '',
    ...columns(
      files.flatMap((file) =>
        (file.replicas.length === 0 ? [null] : file.replicas).map((replica, index) => [
          index === 0 ? mark(file, locationIds) : '',
          index === 0 ? file.kind : '',
          ...(replica === null
            ? ['nowhere', '', '', '']
            : [
                replica.location,
                replica.state === 'verified'
                  ? `${PROOF[replica.proofLevel ?? 0]} (L${replica.proofLevel})`
                  : style.amber(replica.state),
                replica.verifiedAt ?? '',
                style.dim(replica.key),
              ]),
        ]),
      ),
    ),
  ].join('\n')
}

/** One square per configured place, in their order. */
function mark(file: Receipt, locationIds: string[]): string {
  const signs = { verified: '■', writing: '◪', suspect: '▨', evicting: '□' } as const
  return locationIds
    .map((id) => {
      const replica = file.replicas.find(({ location }) => location === id)
      return replica === undefined ? '□' : signs[replica.state]
    })
    .join('')
}
