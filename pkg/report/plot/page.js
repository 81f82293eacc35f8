"use strict";
// Draws the plots of a page: each figure with data-plot holds its specification.
(function () {
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  function theme() {
    var ink = dark.matches ? "#e6edf3" : "#24292f", soft = dark.matches ? "#9198a1" : "#57606a";
    var grid = dark.matches ? "#2b323b" : "#e1e6eb";
    return {
      background: "transparent",
      view: { stroke: grid },
      style: { "guide-label": { fill: soft }, "guide-title": { fill: ink }, "group-title": { fill: ink } },
      title: { color: ink, fontSize: 14 },
      header: { titleColor: ink, labelColor: soft },
      axis: { domainColor: soft, gridColor: grid, tickColor: soft },
      legend: { orient: "bottom", columns: 4, labelLimit: 260, titleColor: ink, labelColor: soft },
      line: { strokeWidth: 1.8 }
    };
  }
  // The number of things drawn, for whoever looks at the page without eyes.
  function marks(group) {
    var n = 0;
    (group.items || []).forEach(function (item) {
      if (item.items) n += marks(item);
      else if (group.role !== "axis-grid") n++;
    });
    return n;
  }
  function draw(figure) {
    var spec = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    var box = figure.querySelector(".view");
    (spec.params || []).forEach(function (p) { if (p.name === "showValues") p.value = true; });
    if (figure.dataset.fit) {
      spec.width = "container";
      spec.autosize = { type: "fit-x", contains: "padding" };
    }
    // Warnings are for who writes specifications.
    var quiet = vega.logger(vega.Error);
    var options = {
      mode: "vega", ast: true, renderer: figure.dataset.renderer || "svg", loader: { http: {} }, logLevel: vega.Error,
      actions: { export: true, source: false, compiled: false, editor: false }, downloadFileName: figure.dataset.name || "plot"
    };
    return Promise.resolve().then(function () {
      return vegaEmbed(box, vegaLite.compile(spec, { config: theme(), logger: quiet }).spec, options);
    }).then(function (result) {
      figure.dataset.drawn = marks(result.view.scenegraph().root);
      return result;
    }).catch(function (err) {
      figure.dataset.failed = String(err);
      box.textContent = "This plot cannot be drawn: " + err;
    });
  }
  // Pictures of many steps: one step at a time, chosen by a slider.
  document.querySelectorAll("section[data-steps]").forEach(function (section) {
    var rows = section.querySelectorAll(".row"), label = document.createElement("label"), slider = document.createElement("input"), name = document.createElement("span");
    slider.type = "range"; slider.min = 0; slider.max = rows.length - 1; slider.value = rows.length - 1;
    function show() {
      rows.forEach(function (row, i) { row.hidden = i !== Number(slider.value); });
      name.textContent = "step " + rows[slider.value].dataset.step;
    }
    slider.addEventListener("input", show);
    label.append(slider, name);
    section.insertBefore(label, rows[0]);
    show();
  });
  var figures = Array.prototype.slice.call(document.querySelectorAll("figure[data-plot]"));
  var views = [];
  function all() {
    views.forEach(function (v) { if (v) v.finalize(); });
    return Promise.all(figures.map(draw)).then(function (list) {
      views = list;
      document.documentElement.dataset.ready = Math.round(performance.now()); // milliseconds
    });
  }
  all();
  dark.addEventListener("change", all);
})();
