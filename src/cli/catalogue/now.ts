import { AppError } from '../../errors.ts'
import { writeCatalogue } from '../../library/catalogue/write-catalogue.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'

/** Writes what changed since the last batch, in this process. A worker copies it to where it belongs. */
export async function writeCatalogueNow(context: CliContext): Promise<ExitCode> {
  return context.withPlacement(async (placement) => {
    if (placement.settings.catalogueEveryMs === 0)
      throw new AppError('invalid', 'No catalogue is kept: storage.catalogue.enabled is false')
    const { batch, texts } = await writeCatalogue({ db: placement.db, placement }, { isNow: true })
    context.print(
      batch === null && texts === 0
        ? 'The catalogue is up to date.'
        : 'The catalogue was written. It is copied to where originals belong while the server runs.',
    )
    return EXIT.done
  })
}
