// Shows openapi.json: every route with its parameters, bodies, refusals and commands, searchable; GETs can be tried here.

const id = (name) => document.getElementById(name);

/** An element with properties and children; a string is text. */
function el(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text with `code` in it. */
const inline = (text) => text.split('`').map((part, i) => (i % 2 ? el('code', {}, part) : part));

/** Paragraphs and lists. */
function prose(text = '') {
  return text.split(/\n\n+/).filter(Boolean).map((block) => {
    const lines = block.split('\n');
    return lines.every((line) => line.startsWith('- '))
      ? el('ul', {}, lines.map((line) => el('li', {}, inline(line.slice(2)))))
      : el('p', {}, inline(block));
  });
}

let api = {};
const resolve = (schema) => (schema.$ref ? api.components.schemas[schema.$ref.split('/').pop()] ?? {} : schema);

/** What a schema's values look like, as text that is nearly JSON. */
function shape(schema, indent = '', depth = 0) {
  const s = resolve(schema);
  const inner = `${indent}  `;
  const all = s.allOf ?? [];
  if (all.length || s.properties || s.additionalProperties) {
    const parts = [...all.map(resolve), s];
    const properties = Object.assign({}, ...parts.map((part) => part.properties ?? {}));
    const required = parts.flatMap((part) => part.required ?? []);
    const more = parts.map((part) => part.additionalProperties).find((part) => part);
    if (depth > 6) return '{…}';
    const lines = Object.entries(properties).map(([name, value]) => {
      const note = value.description ?? resolve(value).description ?? '';
      const end = note ? `  // ${note.split('\n')[0]}` : '';
      return `${inner}"${name}"${required.includes(name) ? '' : '?'}: ${shape(value, inner, depth + 1)},${end}`;
    });
    if (more) lines.push(`${inner}…: ${more === true ? 'any' : shape(more, inner, depth + 1)}`);
    return `{\n${lines.join('\n')}\n${indent}}`;
  }
  const either = s.anyOf ?? s.oneOf;
  if (either) return either.map((one) => shape(one, indent, depth)).join(' or ');
  if (s.enum) return s.enum.map((value) => JSON.stringify(value)).join(' | ');
  const type = Array.isArray(s.type) ? s.type : [s.type ?? 'any'];
  return type.map((one) => (one === 'array' ? `[${shape(s.items ?? {}, indent, depth + 1)}, …]` : s.format === 'binary' ? 'bytes' : one)).join(' or ');
}

const host = new URL('.', location.href).href.replace(/\/$/, '');

function parameters(list) {
  if (!list.length) return null;
  const row = (p) => el('tr', {},
    el('td', {}, el('code', {}, p.name)),
    el('td', {}, p.in === 'path' ? 'path' : p.in, p.required ? ', required' : ''),
    el('td', {}, shape(p.schema ?? {})),
    el('td', {}, inline(p.description ?? '')));
  return [el('h3', {}, 'Parameters'), el('table', {}, el('tbody', {}, list.map(row)))];
}

function contents(content = {}) {
  return Object.entries(content).map(([media, { schema }]) => {
    const text = shape(schema ?? {});
    return el('div', {}, el('code', {}, media), text === 'bytes' || text === 'string' ? null : el('pre', {}, text));
  });
}

function answers(responses) {
  return [el('h3', {}, 'Answers'), Object.entries(responses).map(([status, response]) => {
    const failed = Number(status) >= 400;
    return el('div', {}, el('p', {}, el('b', { className: failed ? 'wrong' : '' }, status)), prose(response.description), failed ? null : contents(response.content));
  })];
}

/** A form that asks this server, and what it answers. */
function attempt(path, operation) {
  const fields = operation.parameters.map((p) => ({ p, input: el('input', { size: 12, placeholder: p.required ? 'required' : '' }) }));
  const out = el('div', { role: 'status' });
  const ask = async (event) => {
    event.preventDefault();
    out.replaceChildren('…');
    let url = path.slice(1);
    const query = new URLSearchParams();
    const headers = {};
    for (const { p, input } of fields) {
      if (p.in === 'path') url = url.replace(`{${p.name}}`, encodeURIComponent(input.value));
      else if (input.value && p.in === 'query') query.set(p.name, input.value);
      else if (input.value) headers[p.name] = input.value;
    }
    if (operation.security.length && id('token').value) headers.authorization = `Bearer ${id('token').value}`;
    if (query.size) url += `?${query}`;
    try {
      const begun = performance.now();
      const response = await fetch(url, { headers });
      const blob = await response.blob();
      const took = `${response.status} after ${Math.round(performance.now() - begun)} ms, ${blob.size} bytes, ${blob.type}`;
      const timing = response.headers.get('server-timing');
      const text = /json|text/.test(blob.type) ? await blob.text() : '';
      const shown = blob.type.startsWith('image/')
        ? el('img', { src: URL.createObjectURL(blob), alt: 'The answer', width: 240 })
        : el('pre', { tabIndex: 0 }, blob.type.includes('json') ? pretty(text) : text.slice(0, 20000));
      out.replaceChildren(el('p', { className: response.ok ? '' : 'wrong' }, took, timing ? ` (${timing})` : ''), shown);
    } catch (error) {
      out.replaceChildren(el('p', { className: 'wrong' }, String(error)));
    }
  };
  const labels = fields.map(({ p, input }) => el('label', {}, `${p.name} `, input));
  return [el('h3', {}, 'Try it'), el('form', { onsubmit: ask }, labels, el('button', {}, 'Ask')), out];
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2).slice(0, 20000);
  } catch {
    return text.slice(0, 20000);
  }
}

function route(path, method, operation) {
  const samples = operation['x-codeSamples'] ?? [];
  const inside = el('div', { className: 'inside' });
  const details = el('details', { id: operation.operationId }, el('summary', {}, el('b', {}, method.toUpperCase()), el('code', {}, path), el('span', {}, operation.summary)), inside);
  details.addEventListener('toggle', () => {
    if (!details.open || inside.childNodes.length) return;
    const streams = Object.values(operation.responses).some((response) => response.content?.['text/event-stream']);
    inside.append(...[
      operation.security.length ? el('p', {}, 'Needs the admin token: ', el('code', {}, 'Authorization: Bearer TOKEN')) : null,
      prose(operation.description),
      parameters(operation.parameters),
      operation.requestBody ? [el('h3', {}, 'Body'), prose(operation.requestBody.description), contents(operation.requestBody.content)] : null,
      samples.length ? [el('h3', {}, 'Command'), samples.map((sample) => el('pre', { tabIndex: 0 }, sample.source.replaceAll('$HOST', host)))] : null,
      method === 'get' && !streams ? attempt(path, operation) : null,
      answers(operation.responses),
    ].flat(3).filter(Boolean));
  });
  return { details, text: JSON.stringify([path, method, operation]).toLowerCase() };
}

function show() {
  id('about').replaceChildren(...inline(api.info.description));
  const all = [];
  for (const tag of api.tags) {
    const section = el('section', {}, el('h2', {}, tag.name), el('p', {}, tag.description ?? ''));
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags?.[0] !== tag.name) continue;
        const one = route(path, method, operation);
        all.push({ ...one, section });
        section.append(one.details);
      }
    }
    id('routes').append(section);
  }
  const rows = api.components.schemas.Error['x-table'].map((row) => el('tr', {}, el('td', {}, String(row.status)), el('td', {}, el('code', {}, row.code)), el('td', {}, inline(row.meaning))));
  id('table').append(el('table', {}, el('tbody', {}, rows)));
  const search = () => {
    const words = id('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { details, text } of all) details.hidden = !words.every((word) => text.includes(word));
    for (const { section } of all) section.hidden = !section.querySelector('details:not([hidden])');
    id('count').textContent = `${all.filter(({ details }) => !details.hidden).length} of ${all.length} routes`;
  };
  id('search').addEventListener('input', search);
  search();
  const open = () => {
    const target = all.find(({ details }) => `#${details.id}` === location.hash);
    if (target) target.details.open = true;
  };
  addEventListener('hashchange', open);
  open();
}

try {
  api = await (await fetch('openapi.json')).json();
  show();
} catch (error) {
  id('count').textContent = `openapi.json cannot be read: ${error}`;
  id('count').className = 'wrong';
}
