/**
 * Which tables and functions of the schema a file of TypeScript uses: in Kysely's calls and in SQL that is
 * written out.
 */
import ts from 'typescript'

export type Use = { name: string; isWrite: boolean; line: number }

const READS =
  /^(selectFrom|from|using|innerJoin|leftJoin|rightJoin|fullJoin|crossJoin|innerJoinLateral|leftJoinLateral)$/
/** `sql.table` may do either; `bringBack` updates the table that it is given by name. */
const WRITES = /^(insertInto|replaceInto|updateTable|deleteFrom|mergeInto|table|bringBack)$/
/** A string that begins like this is a statement, whoever runs it. */
const STATEMENT = /^\s*(select|insert into|update|delete from|with|lock|truncate|create|alter|merge)\s/
/** What an expression in a template stands for is looked at where it is written. */
const HOLE = ' ? '

/** `names`: those that are looked for; functions end in brackets. */
export function tablesInUse(text: string, names: ReadonlySet<string>): Use[] {
  const source = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true)
  const uses: Use[] = []
  const note = (name: string, isWrite: boolean, node: ts.Node) => {
    if (!names.has(name)) return
    uses.push({ name, isWrite, line: source.getLineAndCharacterOfPosition(node.getStart()).line + 1 })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const name = nameOfCall(node)
      const isWrite = WRITES.test(name)
      if (isWrite || READS.test(name))
        for (const table of tablesNamedIn(node.arguments[0])) note(table, isWrite, node)
    }
    if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) {
      const written = textOf(node)
      if (isTaggedSql(node) || STATEMENT.test(written))
        for (const { name, isWrite } of usesInSql(written)) note(name, isWrite, node)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return uses
}

function nameOfCall({ expression }: ts.CallExpression): string {
  if (ts.isPropertyAccessExpression(expression)) return expression.name.text
  return ts.isIdentifier(expression) ? expression.text : ''
}

/**
 * `'asset'`, `'asset as a'`, several of them, or the variable of a loop over several. What else a variable
 * holds is not known.
 */
function tablesNamedIn(node: ts.Expression | undefined): string[] {
  if (node === undefined) return []
  if (ts.isAsExpression(node)) return tablesNamedIn(node.expression)
  if (ts.isIdentifier(node)) return tablesNamedIn(loopedOver(node))
  if (ts.isStringLiteralLike(node)) return [node.text.split(/\s/)[0]!.split('.')[0]!]
  return ts.isArrayLiteralExpression(node) ? node.elements.flatMap(tablesNamedIn) : []
}

function loopedOver({ text, parent }: ts.Identifier): ts.Expression | undefined {
  for (let node: ts.Node = parent; node !== undefined; node = node.parent) {
    if (!ts.isForOfStatement(node) || !ts.isVariableDeclarationList(node.initializer)) continue
    if (node.initializer.declarations[0]?.name.getText() === text) return node.expression
  }
  return undefined
}

function isTaggedSql(node: ts.Node): boolean {
  return (
    ts.isTaggedTemplateExpression(node.parent) &&
    node.parent.template === node &&
    ts.isIdentifier(node.parent.tag) &&
    node.parent.tag.text === 'sql'
  )
}

function textOf(node: ts.StringLiteralLike | ts.TemplateExpression): string {
  if (ts.isStringLiteralLike(node)) return node.text
  return node.head.text + node.templateSpans.map(({ literal }) => HOLE + literal.text).join('')
}

function usesInSql(text: string): Omit<Use, 'line'>[] {
  const code = text.replace(/--.*$/gm, '').replace(/'(?:[^']|'')*'/g, "''")
  const uses: Omit<Use, 'line'>[] = []
  for (const [, verb, name] of code.matchAll(
    /\b(insert\s+into|delete\s+from|merge\s+into|lock\s+table|truncate(?:\s+table)?|update|from|join|using)\s+(?:only\s+)?"?(\w+)/gi,
  ))
    if (name !== 'graphile_worker') uses.push({ name: name!, isWrite: !/^(from|join|using)$/i.test(verb!) })
  // `from asset, album`, with or without other names.
  for (const [, list] of code.matchAll(
    /\bfrom\s+(\w+(?:\s+(?:as\s+)?\w+)?(?:\s*,\s*\w+(?:\s+(?:as\s+)?\w+)?)+)/gi,
  ))
    for (const one of list!.split(',').slice(1))
      uses.push({ name: one.trim().split(/\s/)[0]!, isWrite: false })
  for (const [, name] of code.matchAll(/\b(\w+)\s*\(/g)) uses.push({ name: `${name}()`, isWrite: false })
  // Whatever it is of graphile-worker's schema: its functions write.
  if (/\bgraphile_worker\s*\./.test(code)) uses.push({ name: 'graphile_worker', isWrite: true })
  return uses
}
