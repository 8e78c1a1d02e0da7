"""What a browser is asked to know that a picture is there."""

# The maps of `layer` are on the page: not those that were there before, and no script runs that may change them.
PAINTED = """(layer) => {
  const grid = document.querySelector('.st-key-grid .js-plotly-plot');
  if (!grid || !grid.data || document.querySelector('.stApp').dataset.testScriptState !== 'notRunning') return false;
  const link = new URL(location.href).searchParams.get('layer');
  return link === layer && grid.data[0].z !== window.seenCells && grid.querySelector('.heatmaplayer image') !== null;
}"""
