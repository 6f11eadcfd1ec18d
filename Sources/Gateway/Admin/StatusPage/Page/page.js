// Puts the parts together.

function show(snapshot) {
  showHeadline(snapshot);
  showTotals(snapshot);
  showTables(snapshot);
  showProcessFacts(snapshot);
}

setInterval(() => { if (live.state === 'stale') live.lost(); }, 1000);
follow(show);
