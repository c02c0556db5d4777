/**
 * Gives every awaited step of a source file a failpoint, without a line for it in the product: `await x`
 * becomes a call before `x` is evaluated, and one after it has come. Nothing but such calls is inserted, and
 * no line is moved.
 */
import ts from 'typescript'
import { RUNTIME } from './runtime.ts'

/** `file:function:n`: the n-th awaited step of that function, nested functions without a name included. */
export type Failpoint = { id: string; file: string; line: number; functionName: string }
export type Instrumented = { code: string; points: Failpoint[] }

type Insertion = { at: number; text: string }

/** @throws where a file awaits in a way that gets no failpoint: this module is to learn it first */
export function instrument(file: string, source: string): Instrumented {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true)
  const points: Failpoint[] = []
  const insertions: Insertion[] = []
  const counts = new Map<string, number>()

  const newPoint = (node: ts.Node): string => {
    const functionName = nameOfFunction(node)
    if (functionName === null) throw cannot(file, tree, node, 'an await outside of any function')
    const count = (counts.get(functionName) ?? 0) + 1
    counts.set(functionName, count)
    const id = `${file}:${functionName}:${count}`
    points.push({ id, file, line: lineOf(tree, node), functionName })
    return JSON.stringify(id)
  }
  const insert = (at: number, text: string) => void insertions.push({ at, text })

  const visit = (node: ts.Node): void => {
    if (ts.isAwaitExpression(node)) {
      const id = newPoint(node)
      insert(node.getStart(), `${RUNTIME}.after(${id},`)
      insert(node.expression.getStart(), `(${RUNTIME}.before(${id}),`)
      ts.forEachChild(node, visit)
      insert(node.getEnd(), '))')
      return
    }
    if (ts.isForOfStatement(node) && node.awaitModifier) {
      if (isUsing(node.initializer)) throw cannot(file, tree, node, '`for await (await using ...)`')
      const id = newPoint(node)
      insert(node.expression.getStart(), `(${RUNTIME}.before(${id}),`)
      visit(node.initializer)
      visit(node.expression)
      insert(node.expression.getEnd(), ')')
      insert(node.statement.getStart(), `{${RUNTIME}.after(${id});`)
      visit(node.statement)
      insert(node.statement.getEnd(), '}')
      return
    }
    if (ts.isForOfStatement(node) && isUsing(node.initializer))
      throw cannot(file, tree, node, '`for (await using ...)`')
    if (ts.isVariableDeclarationList(node) && isUsing(node)) {
      for (const { initializer } of node.declarations) {
        if (!initializer) throw cannot(file, tree, node, '`await using` without a value')
        insert(initializer.getStart(), `${RUNTIME}.disposal(${newPoint(node)},(`)
        visit(initializer)
        insert(initializer.getEnd(), '))')
      }
      return
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  const code = withInsertions(source, insertions)
  assertAllInstrumented(file, code, points.length)
  return { code, points }
}

/** In the order in which they were noted, also of those at one place. */
function withInsertions(source: string, insertions: readonly Insertion[]): string {
  let code = ''
  let from = 0
  for (const { at, text } of insertions.toSorted((a, b) => a.at - b.at)) {
    code += source.slice(from, at) + text
    from = at
  }
  return code + source.slice(from)
}

/** What is inserted is read again: each await that is left is one that waits inside of a failpoint's call. */
function assertAllInstrumented(file: string, code: string, expected: number): void {
  const tree = ts.createSourceFile(file, code, ts.ScriptTarget.Latest, true)
  let found = 0
  const visit = (node: ts.Node): void => {
    if (ts.isAwaitExpression(node)) {
      if (!isCallOf(node.parent, 'after')) throw cannot(file, tree, node, 'an await without a failpoint')
      found += 1
    }
    if (ts.isForOfStatement(node) && node.awaitModifier) found += 1
    if (ts.isVariableDeclarationList(node) && isUsing(node)) found += node.declarations.length
    ts.forEachChild(node, visit)
  }
  visit(tree)
  const [broken] = (tree as unknown as { parseDiagnostics: ts.Diagnostic[] }).parseDiagnostics
  if (broken) throw new Error(`${file}: ${ts.flattenDiagnosticMessageText(broken.messageText, ' ')}`)
  if (found !== expected) throw new Error(`${file}: ${found} awaited steps and ${expected} failpoints`)
}

function isCallOf(node: ts.Node, method: string): boolean {
  return ts.isCallExpression(node) && node.expression.getText() === `${RUNTIME}.${method}`
}

function isUsing(node: ts.Node): boolean {
  return (node.flags & ts.NodeFlags.AwaitUsing) === ts.NodeFlags.AwaitUsing
}

/** Of the nearest function around it that has a name; null: there is no function around it at all. */
function nameOfFunction(node: ts.Node): string | null {
  let isInFunction = false
  for (let at = node.parent; at !== undefined; at = at.parent) {
    if (!ts.isFunctionLike(at)) continue
    isInFunction = true
    if (at.name) return at.name.getText()
    const holder = at.parent
    if (ts.isVariableDeclaration(holder) || ts.isPropertyAssignment(holder)) return holder.name.getText()
  }
  return isInFunction ? 'anonymous' : null
}

function lineOf(tree: ts.SourceFile, node: ts.Node): number {
  return tree.getLineAndCharacterOfPosition(node.getStart()).line + 1
}

function cannot(file: string, tree: ts.SourceFile, node: ts.Node, what: string): Error {
  return new Error(
    `${file}:${lineOf(tree, node)}: ${what} gets no failpoint; teach it to tests/crash/matrix/failpoints/instrument.ts`,
  )
}
