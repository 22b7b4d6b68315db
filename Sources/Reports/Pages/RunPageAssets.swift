/// The style and the script of a run's page. The script writes text as text, never as markup.

extension RunPage {
    static let style = """
        *{box-sizing:border-box}
        body{margin:0;padding:16px;background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,sans-serif}
        h1{font-size:20px;margin:0 0 4px;overflow-wrap:anywhere}h2{font-size:16px;margin:0 0 6px;overflow-wrap:anywhere}
        h3{font-size:14px;margin:14px 0 4px}p{margin:2px 0}.dim{color:var(--dim)}
        #counts{font-weight:600}header p{overflow-wrap:anywhere}
        #filters{display:flex;flex-wrap:wrap;gap:8px;margin:14px 0 6px;align-items:center}
        #filters input,#filters select{font:inherit;color:inherit;background:var(--panel);border:1px solid var(--line);border-radius:6px;\
        padding:5px 8px;max-width:min(100%,260px)}
        #filters #text{flex:1 1 220px;max-width:100%}
        main{display:grid;grid-template-columns:minmax(0,1fr);gap:16px}
        #grid{overflow:auto;max-height:62vh;border:1px solid var(--line);border-radius:8px}
        table.m{border-collapse:separate;border-spacing:0;font-size:13px}
        .m th{font-weight:500;text-align:left;background:var(--panel);padding:3px 8px;white-space:nowrap;position:sticky;z-index:1}
        .m thead th{top:0;z-index:2;border-bottom:1px solid var(--line)}.m tbody th{left:0;max-width:340px;overflow:hidden;\
        text-overflow:ellipsis;border-right:1px solid var(--line)}
        .m thead th:first-child{left:0;z-index:3}.m td{padding:2px 4px;border-bottom:1px solid var(--panel);\
        min-width:78px;max-width:250px}
        .c{display:inline-block;min-width:20px;height:20px;line-height:18px;margin:1px;padding:0 2px;border:1px solid;border-radius:4px;\
        font:600 12px/18px ui-monospace,monospace;text-align:center;background:var(--bg);cursor:pointer}
        i.c{cursor:default;font-style:normal}.c.ok{color:var(--good)}.c.known{color:var(--busy)}.c.finding{color:#fff;background:#b91c1c}
        .c:focus-visible,.c[aria-current=true]{outline:3px solid var(--request);outline-offset:1px}
        .legend i{margin-left:10px}.legend i:first-child{margin-left:0}
        #detail{border:1px solid var(--line);border-radius:8px;padding:12px;min-width:0}
        #detail code,#detail pre{font:12px/1.4 ui-monospace,monospace;background:var(--panel);border-radius:6px}
        #detail pre{padding:8px;overflow-x:auto;margin:4px 0}#detail code{padding:1px 4px;overflow-wrap:anywhere}
        #detail ul{margin:4px 0;padding-left:20px}#detail li{overflow-wrap:anywhere}
        .badge{display:inline-block;border:1.5px solid;border-radius:999px;padding:0 9px;font-size:13px;margin-right:6px}
        .badge.ok{color:var(--good)}.badge.known{color:var(--busy)}.badge.finding{color:var(--bad)}
        button.copy{font:inherit;font-size:13px;color:inherit;background:var(--panel);border:1px solid var(--line);border-radius:6px;\
        padding:2px 10px;cursor:pointer}
        @media(max-width:520px){body{padding:10px}.m tbody th{max-width:130px;\
        white-space:normal;overflow-wrap:anywhere;font-size:12px}#grid{max-height:50vh}}
        """

    static let script = """
        'use strict';
        const data = JSON.parse(document.getElementById('data').textContent);
        const by = id => document.getElementById(id);
        const words = {all: 'every result', ok: 'as predicted', known: 'known deviations', finding: 'findings'};
        const badges = {ok: 'as predicted', known: 'known deviation', finding: 'finding'};
        const glyphs = {ok: '\\u2713', known: 'd', finding: '\\u2717'};
        const make = (tag, text, style) => {
          const node = document.createElement(tag);
          if (text !== undefined) node.textContent = text;
          if (style) node.className = style;
          return node;
        };
        const choices = (id, first, values) => {
          const list = by(id);
          for (const [value, text] of [['', first], ...values]) {
            const option = make('option', text);
            option.value = value;
            list.append(option);
          }
        };
        const counts = key => {
          const count = new Map();
          for (const cell of data.cells) count.set(cell[key], (count.get(cell[key]) || 0) + 1);
          return [...count].sort((a, b) => b[1] - a[1]).map(([value, n]) => [value, value + ' (' + n + ')']);
        };
        choices('state', words.all, counts('state').map(([value, text]) => [value, text.replace(value, words[value])]));
        choices('ending', 'every ending', counts('ending'));
        choices('product', 'every product', counts('product'));
        choices('sides', 'every side', [...counts('kind'), ...counts('pair')]);
        if (data.cells.some(cell => cell.kind === 'QEMU') && data.cells.length > 1500) by('sides').value = 'QEMU';

        const text = cell => [cell.name, cell.ending, ...(cell.deviations || []),
          ...cell.legs.flatMap(leg => (leg.broken || []).map(rule => rule.rule))].join(' ').toLowerCase();
        const index = data.cells.map(text);
        const matches = () => {
          const wanted = by('text').value.toLowerCase().split(/\\s+/).filter(Boolean);
          const [state, ending, product, sides] = ['state', 'ending', 'product', 'sides'].map(id => by(id).value);
          return data.cells.filter((cell, i) => (!state || cell.state === state) && (!ending || cell.ending === ending)
            && (!product || cell.product === product) && (!sides || cell.kind === sides || cell.pair === sides)
            && wanted.every(word => index[i].includes(word)));
        };
        const draw = () => {
          const cells = matches();
          const pairs = [...new Set(cells.map(cell => cell.pair))].sort();
          const rows = new Map();
          for (const cell of cells) {
            if (!rows.has(cell.row)) rows.set(cell.row, new Map());
            const row = rows.get(cell.row);
            if (!row.has(cell.pair)) row.set(cell.pair, []);
            row.get(cell.pair).push(cell);
          }
          const table = make('table', undefined, 'm');
          const head = table.createTHead().insertRow();
          for (const pair of ['', ...pairs]) {
            const th = make('th', pair);
            th.scope = 'col';
            head.append(th);
          }
          const body = table.createTBody();
          for (const [name, row] of [...rows].sort((a, b) => a[0] === 'plain' ? -1 : b[0] === 'plain' ? 1 : a[0] < b[0] ? -1 : 1)) {
            const line = body.insertRow();
            const th = make('th', name);
            th.scope = 'row';
            th.title = name;
            line.append(th);
            for (const pair of pairs) {
              const td = line.insertCell();
              for (const cell of row.get(pair) || []) {
                const button = make('button', glyphs[cell.state], 'c ' + cell.state);
                button.type = 'button';
                button.title = cell.name + ': ' + cell.ending;
                button.setAttribute('aria-label', button.title);
                button.dataset.cell = cell.name;
                td.append(button);
              }
            }
          }
          by('grid').replaceChildren(table);
          by('shown').textContent = cells.length + ' of ' + data.cells.length + ' cells';
        };
        const list = (parent, title, items) => {
          if (!items || !items.length) return;
          parent.append(make('h3', title));
          const ul = make('ul');
          for (const item of items) ul.append(make('li', item));
          parent.append(ul);
        };
        const show = name => {
          const cell = data.cells.find(cell => cell.name === name);
          if (!cell) return;
          for (const button of document.querySelectorAll('.c[aria-current]')) button.removeAttribute('aria-current');
          for (const button of document.querySelectorAll('button.c')) {
            if (button.dataset.cell === name) button.setAttribute('aria-current', 'true');
          }
          const box = by('detail');
          box.replaceChildren(make('h2', cell.name));
          const line = make('p');
          line.append(make('span', badges[cell.state], 'badge ' + cell.state), make('strong', cell.ending));
          box.append(line, make('p', cell.sides + '; ' + cell.product + '; ' + cell.seconds + ' s', 'dim'));
          list(box, 'Findings', cell.findings);
          cell.legs.forEach((leg, number) => {
            if (cell.legs.length > 1) box.append(make('h3', 'Leg ' + (number + 1) + ': ' + leg.ending));
            if (leg.reason) box.append(make('p', leg.reason));
            box.append(make('p', 'predicted: ' + leg.predicted + '; ' + (leg.gating
              ? 'gating: only an ACK was missing at ' + leg.gated + ' queries' : 'not gating') + '; ' + leg.judges, 'dim'));
            list(box, 'Broken rules', (leg.broken || []).map(rule =>
              rule.rule + ':' + rule.text + (data.rules[rule.rule] ? ' \\u2014 ' + data.rules[rule.rule] : '')));
            list(box, 'Processes', leg.processes);
            box.append(make('h3', 'Handshake'));
            const drawing = by('d' + leg.drawing);
            if (drawing) box.append(drawing.content.cloneNode(true));
          });
          list(box, 'Known deviations', (cell.deviations || []).map(id => {
            const known = data.deviations[id];
            return known ? id + ' (' + known.versions + '): ' + known.reason + ' ' + known.reference : id;
          }));
          if (cell.explanation) box.append(make('h3', 'Explanation'), make('pre', cell.explanation));
          box.append(make('h3', 'Run it again'));
          const command = data.commands[cell.command].split('{cell}').join(cell.name);
          box.append(make('pre', command));
          const copy = make('button', 'Copy', 'copy');
          copy.type = 'button';
          copy.addEventListener('click', () => navigator.clipboard && navigator.clipboard.writeText(command)
            .then(() => { copy.textContent = 'Copied'; }, () => { copy.textContent = 'Select the text above'; }));
          box.append(copy);
          if (decodeURIComponent(location.hash.slice(1)) !== name) history.replaceState(null, '', '#' + encodeURIComponent(name));
        };
        by('filters').addEventListener('input', draw);
        by('filters').addEventListener('submit', event => event.preventDefault());
        by('grid').addEventListener('click', event => {
          const button = event.target.closest('button.c');
          if (!button) return;
          show(button.dataset.cell);
          by('detail').scrollIntoView({block: 'nearest'});
        });
        draw();
        if (location.hash) show(decodeURIComponent(location.hash.slice(1)));
        """
}
