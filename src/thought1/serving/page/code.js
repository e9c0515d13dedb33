// A search as a command and as a program, which run as they are. A token is never written into them.

const inShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function asCurl(origin, body, needsToken) {
  const lines = [`curl ${inShell(`${origin}/v1/search`)}`, `-H 'Content-Type: application/json'`];
  if (needsToken) lines.push('-H "Authorization: Bearer $T1_TOKEN"');
  lines.push(`-d ${inShell(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

const CONSTANTS = new Map([[true, "True"], [false, "False"], [null, "None"]]);

function literal(value) {
  if (CONSTANTS.has(value)) return CONSTANTS.get(value);
  return Array.isArray(value) ? `[${value.map(literal).join(", ")}]` : JSON.stringify(value);
}

export function asPython(origin, body, needsToken) {
  const fields = Object.entries(body).map(([name, value]) => `    "${name}": ${literal(value)},`);
  const token = '    "Authorization": f"Bearer {os.environ[\'T1_TOKEN\']}",';
  return [
    "import json",
    ...(needsToken ? ["import os"] : []),
    "from urllib.request import Request, urlopen",
    "",
    "body = {",
    ...fields,
    "}",
    "headers = {",
    '    "Content-Type": "application/json",',
    ...(needsToken ? [token] : []),
    "}",
    `request = Request(${JSON.stringify(`${origin}/v1/search`)}, json.dumps(body).encode(), headers)`,
    "with urlopen(request) as answer:",
    "    found = json.load(answer)",
    'for hit in found["results"][0]["hits"]:',
    '    print(hit["rank"], hit["id"], hit["score"])',
  ].join("\n");
}
