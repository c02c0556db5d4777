/**
 * Path templates: where a photo's file lies below its owner's folder, such as `{{y}}/{{MM}}/{{filename}}`.
 * The language is Handlebars, as in Immich, of which variables, `if` and `unless` are allowed: the other
 * helpers reach into objects or write to the log. Pure.
 */
import Handlebars from 'handlebars'
import { AppError } from '../../errors.ts'
import { safeName } from '../file-names.ts'
import { type PathSubject, VARIABLES } from './variables.ts'

/** Longer than any preset by far. */
const MAX_TEMPLATE_CHARACTERS = 1_000
/** Of one path; a file system gives up at about 1,000 characters. */
const MAX_FOLDERS = 20
const BLOCKS: readonly string[] = ['if', 'unless']

export type PathTemplate = {
  /**
   * Below the owner's folder, without the extension: the names of folders and, last, that of the file. Each
   * is one that every file system takes.
   */
  pathOf(subject: PathSubject): readonly string[]
  /** Whether it names an album or its days, which cost a look each. */
  readsAlbums: boolean
}

/**
 * @param setting the name of the option or the key that the template is of
 * @throws AppError invalid where the text is no template, names what does not exist, or makes no path
 */
export function parsePathTemplate(text: string, setting: string): PathTemplate {
  if (text.length > MAX_TEMPLATE_CHARACTERS)
    throw invalid(setting, `a template has at most ${MAX_TEMPLATE_CHARACTERS} characters`)
  const program = parse(text, setting)
  const names = variablesOf(program, setting)
  // In mode `strict`, a variable that is not there would be an error; all were looked at above. Names are
  // not HTML: Immich writes "Tom &amp; Jerry", which nobody calls a folder.
  const render = Handlebars.compile<Record<string, string>>(program, {
    ...{ noEscape: true, strict: true, knownHelpersOnly: true },
  })
  const template: PathTemplate = {
    pathOf: (subject) => partsOf(render(valuesOf(names, subject)), subject),
    readsAlbums: [...names].some((name) => name.startsWith('album')),
  }
  const parts = template.pathOf(SAMPLE)
  if (parts.length > MAX_FOLDERS) throw invalid(setting, `a path has at most ${MAX_FOLDERS} folders`)
  return template
}

function parse(text: string, setting: string): hbs.AST.Program {
  try {
    return Handlebars.parse(text)
  } catch (cause) {
    throw invalid(setting, 'it cannot be read as a template', cause)
  }
}

type Part =
  | hbs.AST.ContentStatement
  | hbs.AST.CommentStatement
  | hbs.AST.MustacheStatement
  | hbs.AST.BlockStatement

/** Of what was parsed; what is not allowed throws. */
function variablesOf({ body }: hbs.AST.Program, setting: string): Set<string> {
  const names = new Set<string>()
  for (const part of body as Part[]) {
    switch (part.type) {
      case 'ContentStatement':
      case 'CommentStatement':
        break
      case 'MustacheStatement':
        if (hasMore(part, 0)) throw invalid(setting, `{{${textOf(part.path)}}} takes nothing after its name`)
        names.add(variableOf(part.path, setting))
        break
      case 'BlockStatement': {
        const block = textOf(part.path)
        if (!BLOCKS.includes(block))
          throw invalid(setting, `{{#${block}}} is not possible; use {{#if}} or {{#unless}}`)
        if (part.params.length !== 1 || hasMore(part, 1))
          throw invalid(setting, `{{#${block}}} takes one variable`)
        names.add(variableOf(part.params[0]!, setting))
        for (const branch of [part.program, part.inverse])
          for (const name of branch ? variablesOf(branch, setting) : []) names.add(name)
        break
      }
      default:
        throw invalid(setting, 'only variables, {{#if}} and {{#unless}} are possible')
    }
  }
  return names
}

function hasMore({ params, hash }: hbs.AST.MustacheStatement | hbs.AST.BlockStatement, most: number) {
  return params.length > most || (hash?.pairs.length ?? 0) > 0
}

const textOf = (node: hbs.AST.Node) => String((node as hbs.AST.PathExpression).original ?? node.type)

function variableOf(node: hbs.AST.Node, setting: string): string {
  const name = textOf(node)
  if (node.type === 'PathExpression' && VARIABLES.has(name)) return name
  throw invalid(setting, `there is no variable {{${name}}}`)
}

function valuesOf(names: ReadonlySet<string>, subject: PathSubject): Record<string, string> {
  return Object.fromEntries(
    [...names].map((name) => [name, VARIABLES.get(name)!(subject).replaceAll('/', '_')]),
  )
}

/** A part of which nothing is left, such as the make of an unknown camera, is left out. */
function partsOf(path: string, { assetId }: PathSubject): readonly string[] {
  const parts = path.split('/').flatMap((part) => {
    const name = safeName(part.trim(), '')
    return name === '' ? [] : [name]
  })
  return parts.length === 0 ? [assetId] : parts
}

function invalid(setting: string, reason: string, cause?: unknown): AppError {
  return new AppError('invalid', `${setting}: ${reason}. A template is such as {{y}}/{{MM}}/{{filename}}.`, {
    cause,
  })
}

const DAY = new Date('2024-05-06T07:08:09.010Z')
/** With everything that a photo may have, so that all parts of a template are tried. */
const SAMPLE: PathSubject = {
  ...{ assetId: '5a1ed3c4-9f0e-4f5e-9d8e-0a4a2a3f6b7c', name: 'IMG_1234.JPG', type: 'IMAGE', takenAt: DAY },
  ...{ make: 'FUJIFILM', model: 'X-T50', lensModel: 'XF27mm F2.8 R WR' },
  album: { name: 'Easter', startsAt: DAY, endsAt: DAY },
}
