'use strict';
(() => {
  const root = document.documentElement, all = (query, from = document) => [...from.querySelectorAll(query)];
  const one = (query, from = document) => from.querySelector(query);
  const make = (name, properties = {}, ...content) => {
    const e = Object.assign(document.createElement(name), properties);
    e.append(...content);
    return e;
  };
  root.classList.add('live');

  /* Findings: a list of all, one of them in full. */
  const entries = all('.index li'), findings = all('.finding');
  let shown = -1;
  const show = i => {
    if (i === shown || !findings[i]) return;
    if (shown >= 0) {
      findings[shown].classList.remove('now');
      entries[shown].firstChild.removeAttribute('aria-current');
    }
    shown = i;
    findings[i].classList.add('now');
    entries[i].firstChild.setAttribute('aria-current', 'true');
    entries[i].scrollIntoView({block: 'nearest'});
  };
  const numberOf = new Map();
  findings.forEach((f, i) => { if (!numberOf.has(f.id)) numberOf.set(f.id, i); });
  entries.forEach((entry, i) => entry.firstChild.addEventListener('click', event => {
    event.preventDefault();
    show(i);
    history.replaceState(null, '', '#' + findings[i].id);
    if (matchMedia('(max-width:64rem)').matches) findings[i].scrollIntoView();
  }));

  const addFilter = () => {
    const word = make('input', {type: 'search', placeholder: 'Filter: words, files, locks…', ariaLabel: 'Filter findings'});
    const chooser = (key, name) => {
      const values = [...new Set(findings.map(f => f.dataset[key]))].sort();
      const s = make('select', {ariaLabel: name}, make('option', {value: '', textContent: 'Any ' + name}));
      for (const v of values) s.append(make('option', {value: v, textContent: v}));
      s.hidden = values.length < 2;
      return s;
    };
    const kind = chooser('kind', 'kind'), verdict = chooser('verdict', 'verdict');
    const counted = make('input', {type: 'checkbox'}), left = make('output');
    const onlyCounted = make('label', {}, counted, 'Only those that count');
    onlyCounted.hidden = !findings.some(f => f.dataset.counts === 'no');
    const print = make('button', {type: 'button', textContent: 'Print this finding', onclick: () => window.print()});
    const printAll = make('button', {type: 'button', textContent: 'Print all'});
    printAll.onclick = () => {
      root.classList.add('everything');
      window.print();
      root.classList.remove('everything');
    };
    let texts = null;
    const filter = () => {
      const words = word.value.toLowerCase().split(/\s+/).filter(w => w);
      if (words.length && !texts) texts = findings.map((f, i) => (entries[i].textContent + ' ' + f.textContent).toLowerCase());
      let n = 0, first = -1;
      findings.forEach((f, i) => {
        const good = (!kind.value || f.dataset.kind === kind.value) && (!verdict.value || f.dataset.verdict === verdict.value) &&
          (!counted.checked || f.dataset.counts === 'yes') && words.every(w => texts[i].includes(w));
        entries[i].hidden = !good;
        if (good && n++ === 0) first = i;
      });
      left.value = n === findings.length ? '' : n + ' of ' + findings.length;
      if (shown >= 0 && entries[shown].hidden && first >= 0) show(first);
    };
    let timer = 0;
    word.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(filter, 120); });
    for (const e of [kind, verdict, counted]) e.addEventListener('change', filter);
    const tools = make('div', {className: 'bar-tools', role: 'search'}, word, kind, verdict, onlyCounted, left, print, printAll);
    one('#findings .split').before(tools);
    document.addEventListener('keydown', event => {
      if (event.target.closest('input,select') || event.ctrlKey || event.metaKey || event.altKey) return;
      const step = {j: 1, k: -1}[event.key];
      if (event.key === '/') { event.preventDefault(); word.focus(); }
      if (!step) return;
      let i = shown + step;
      while (entries[i] && entries[i].hidden) i += step;
      if (entries[i]) entries[i].firstChild.click();
    });
  };

  /* The graph: moved, zoomed, searched; an edge or a node shows its orders. */
  const explore = () => {
    const stage = one('.stage'), svg = one('.graph');
    if (!svg) return;
    const orders = all('.order'), edges = all('.edge', svg), nodes = all('.node', svg);
    const whole = svg.viewBox.baseVal, size = {w: whole.width, h: whole.height};
    let view = {x: 0, y: 0, w: size.w, h: size.h};
    const apply = () => svg.setAttribute('viewBox', [view.x, view.y, view.w, view.h].join(' '));
    const scale = () => Math.min(stage.clientWidth / view.w, stage.clientHeight / view.h);
    const toGraph = (x, y) => {
      const box = svg.getBoundingClientRect(), s = scale();
      return {x: view.x + view.w / 2 + (x - box.left - box.width / 2) / s, y: view.y + view.h / 2 + (y - box.top - box.height / 2) / s};
    };
    const zoom = (factor, x, y) => {
      const w = Math.min(Math.max(view.w / factor, 60), size.w * 4), f = view.w / w, at = toGraph(x, y);
      view = {x: at.x - (at.x - view.x) / f, y: at.y - (at.y - view.y) / f, w, h: view.h / f};
      apply();
    };
    const middle = factor => {
      const box = svg.getBoundingClientRect();
      zoom(factor, box.left + box.width / 2, box.top + box.height / 2);
    };
    const fit = () => { view = {x: 0, y: 0, w: size.w, h: size.h}; if (scale() > 1.6) { const g = scale() / 1.6; view = {x: size.w * (1 - g) / 2, y: size.h * (1 - g) / 2, w: size.w * g, h: size.h * g}; } apply(); };
    /* A large graph opens where the findings are, or at its top: what cannot be read says nothing. */
    const start = () => {
      const bad = all('.bad', svg).map(e => e.getBBox());
      fit();
      if (scale() > 0.6) return;
      const s = 0.8, w = stage.clientWidth / s, h = stage.clientHeight / s, at = bad.length ? bad : nodes.slice(0, 1).map(n => n.getBBox());
      const x0 = Math.min(...at.map(b => b.x)), y0 = Math.min(...at.map(b => b.y));
      const first = at.filter(b => b.x < x0 + w && b.y < y0 + h); /* those that a view can hold with the first one */
      const x1 = Math.max(...first.map(b => b.x + b.width)), y1 = Math.max(...first.map(b => b.y + b.height));
      const wide = Math.max(w, Math.min(x1 - x0 + 40, size.w)), factor = wide / w;
      view = {x: (x0 + x1 - wide) / 2, y: (y0 + y1 - h * factor) / 2, w: wide, h: h * factor};
      apply();
    };
    svg.removeAttribute('width');
    svg.removeAttribute('height');
    for (const e of edges) { /* a thin line is hard to hit */
      const line = one('path', e);
      if (line) { const near = line.cloneNode(); near.setAttribute('class', 'near'); e.append(near); }
    }
    stage.addEventListener('wheel', event => {
      event.preventDefault();
      zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 180), event.clientX, event.clientY);
    }, {passive: false});

    const down = new Map();
    let moved = false;
    stage.addEventListener('pointerdown', event => { down.set(event.pointerId, event); if (down.size === 1) moved = false; });
    stage.addEventListener('pointermove', event => {
      const before = down.get(event.pointerId);
      if (!before) return;
      if (!moved && Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY) < 4) return;
      if (!moved) { stage.setPointerCapture(event.pointerId); stage.classList.add('drag'); }
      moved = true;
      if (down.size === 2) {
        const other = [...down].find(([id]) => id !== event.pointerId)[1];
        const far = e => Math.hypot(e.clientX - other.clientX, e.clientY - other.clientY) || 1;
        zoom(far(event) / far(before), (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2);
      } else {
        const s = scale();
        view.x -= (event.clientX - before.clientX) / s;
        view.y -= (event.clientY - before.clientY) / s;
        apply();
      }
      down.set(event.pointerId, event);
    });
    const up = event => { down.delete(event.pointerId); if (!down.size) stage.classList.remove('drag'); };
    stage.addEventListener('pointerup', up);
    stage.addEventListener('pointercancel', up);

    const say = make('p', {className: 'lead', textContent: 'Click an arrow to see where the order was seen, or a lock for all of its orders.'});
    one('.orders').prepend(say);
    const choose = (edgeNumbers, node) => {
      orders.forEach((o, i) => o.classList.toggle('now', edgeNumbers.has(i)));
      edges.forEach(e => e.classList.toggle('now', edgeNumbers.has(+e.dataset.edge)));
      nodes.forEach(n => n.classList.toggle('now', n.dataset.node === node));
      say.hidden = edgeNumbers.size > 0;
      one('.orders').scrollTop = 0;
    };
    stage.addEventListener('click', event => {
      const edge = event.target.closest('.edge'), node = event.target.closest('.node');
      if (moved) return;
      if (edge) choose(new Set([+edge.dataset.edge]), null);
      else if (node) {
        const name = node.dataset.node, touches = new Set();
        orders.forEach((o, i) => { if (o.dataset.from === name || o.dataset.to === name) touches.add(i); });
        choose(touches, name);
      } else choose(new Set(), null);
    });

    const word = make('input', {type: 'search', placeholder: 'Search locks…', ariaLabel: 'Search locks'}), found = make('output');
    word.addEventListener('input', () => {
      const w = word.value.toLowerCase(), hit = new Set(nodes.filter(n => w && n.dataset.node.toLowerCase().includes(w)).map(n => n.dataset.node));
      for (const n of nodes) n.classList.toggle('faded', w !== '' && !hit.has(n.dataset.node));
      for (const e of edges) {
        const o = orders[+e.dataset.edge];
        e.classList.toggle('faded', w !== '' && !(o && (hit.has(o.dataset.from) || hit.has(o.dataset.to))));
      }
      found.value = w ? hit.size + ' found' : '';
      if (hit.size) {
        const first = nodes.find(n => hit.has(n.dataset.node)).getBBox();
        if (first.x < view.x || first.y < view.y || first.x + first.width > view.x + view.w || first.y + first.height > view.y + view.h) {
          view.x = first.x + first.width / 2 - view.w / 2;
          view.y = first.y + first.height / 2 - view.h / 2;
          apply();
        }
      }
    });
    const button = (text, name, act) => make('button', {type: 'button', textContent: text, title: name, ariaLabel: name, onclick: act});
    one('.explore').before(make('div', {className: 'bar-tools'}, word, found, button('+', 'Closer', () => middle(1.4)),
      button('−', 'Farther', () => middle(1 / 1.4)), button('Whole graph', 'Whole graph', fit)));
    return start;
  };

  /* Sections as tabs; a link to anything inside opens it. */
  const tabs = all('nav a'), sections = all('main>section'), pages = all('.page');
  let start = null, explored = false;
  const open = section => {
    for (const s of sections) s.classList.toggle('now', s === section);
    for (const t of tabs) t.toggleAttribute('aria-current', t.hash === '#' + section.id);
    if (section.id === 'order' && !explored) {
      explored = true;
      start = explore();
      if (start) start();
    }
  };
  const follow = () => {
    const id = decodeURIComponent(location.hash.slice(1)), target = id && document.getElementById(id);
    const section = target ? target.closest('main>section') : sections[0];
    if (!section) return;
    open(section);
    for (const p of pages) {
      p.classList.toggle('all', !target || !target.classList.contains('page'));
      p.classList.toggle('now', p === target);
    }
    if (target && numberOf.has(id)) show(numberOf.get(id));
  };
  for (const t of tabs)
    t.addEventListener('click', event => {
      event.preventDefault();
      history.pushState(null, '', t.hash);
      follow();
    });
  if (findings.length > 1) addFilter();
  if (findings.length) show(0);
  addEventListener('hashchange', follow);
  addEventListener('popstate', follow);
  follow();
})();
