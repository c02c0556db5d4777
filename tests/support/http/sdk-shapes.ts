/**
 * Checks answers against the types that the official SDK declares: what its clients are compiled against. The
 * declarations are read with the TypeScript compiler, so that every field and every optional one counts, not
 * just those somebody thought of.
 */
import assert from 'node:assert/strict'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const declarations = fileURLToPath(new URL('fetch-client.d.ts', import.meta.resolve('@immich/sdk')))
let checker: ts.TypeChecker | undefined
const types = new Map<string, ts.Type>()

function typeNamed(name: string): ts.Type {
  if (checker === undefined) {
    const program = ts.createProgram([declarations], {
      lib: ['lib.es5.d.ts'],
      strict: true,
      types: [],
      noResolve: true,
    })
    checker = program.getTypeChecker()
    for (const node of program.getSourceFile(declarations)!.statements) {
      if (ts.isTypeAliasDeclaration(node)) types.set(node.name.text, checker.getTypeAtLocation(node.name))
    }
  }
  const type = types.get(name)
  assert.ok(type, `the SDK has no type ${name}`)
  return type
}

/**
 * Asserts that `value` is of the SDK's type `name`. Fields that the type does not know fail unless `extra`
 * names them.
 */
export function assertShape(value: unknown, name: string, extra: readonly string[] = []): void {
  const problems: string[] = []
  compare(value, typeNamed(name), name, extra, problems)
  assert.deepEqual(problems, [], `not of the shape ${name}`)
}

/** Asserts an array of them; an empty one proves nothing and fails. */
export function assertShapes(values: unknown, name: string, extra: readonly string[] = []): void {
  assert.ok(Array.isArray(values) && values.length > 0, `expected a list of ${name} with something in it`)
  for (const value of values) assertShape(value, name, extra)
}

function compare(
  value: unknown,
  type: ts.Type,
  path: string,
  extra: readonly string[],
  problems: string[],
): void {
  if (type.isUnion()) {
    const attempts = type.types.map((part) => {
      const found: string[] = []
      compare(value, part, path, extra, found)
      return found
    })
    if (attempts.every((found) => found.length > 0)) {
      // The complaints of the branch that came nearest say most.
      problems.push(...attempts.toSorted((a, b) => a.length - b.length)[0]!)
    }
    return
  }
  const flags = type.getFlags()
  const fail = (expected: string) => problems.push(`${path}: ${JSON.stringify(value)} is not ${expected}`)
  if (flags & ts.TypeFlags.Any) return
  if (type.isStringLiteral() || type.isNumberLiteral()) {
    if (value !== type.value) fail(JSON.stringify(type.value))
  } else if (flags & ts.TypeFlags.BooleanLiteral) {
    if (String(value) !== checker!.typeToString(type) || typeof value !== 'boolean') fail('a boolean')
  } else if (flags & ts.TypeFlags.StringLike) {
    if (typeof value !== 'string') fail('text')
  } else if (flags & ts.TypeFlags.NumberLike) {
    if (typeof value !== 'number' || !Number.isFinite(value)) fail('a number')
  } else if (flags & ts.TypeFlags.Null) {
    if (value !== null) fail('null')
  } else if (flags & ts.TypeFlags.Undefined) {
    if (value !== undefined) fail('absent')
  } else {
    compareObject(value, type, path, extra, problems)
  }
}

function compareObject(
  value: unknown,
  type: ts.Type,
  path: string,
  extra: readonly string[],
  problems: string[],
) {
  const element = checker!.isArrayType(type)
    ? checker!.getTypeArguments(type as ts.TypeReference)[0]
    : undefined
  if (element) {
    if (!Array.isArray(value)) problems.push(`${path}: not a list`)
    else
      for (const [index, item] of value.entries())
        compare(item, element, `${path}[${index}]`, extra, problems)
    return
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push(`${path}: ${JSON.stringify(value)} is not an object`)
    return
  }
  const fields = value as Record<string, unknown>
  const known = new Set(extra)
  for (const property of type.getProperties()) {
    known.add(property.name)
    const isOptional = (property.flags & ts.SymbolFlags.Optional) !== 0
    const field = fields[property.name]
    if (field === undefined) {
      if (!isOptional) problems.push(`${path}.${property.name}: missing`)
      continue
    }
    compare(field, checker!.getTypeOfSymbol(property), `${path}.${property.name}`, extra, problems)
  }
  if (type.getStringIndexType()) return
  for (const name of Object.keys(fields)) {
    if (!known.has(name)) problems.push(`${path}.${name}: the SDK does not know it`)
  }
}
