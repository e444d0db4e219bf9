//! The drawing of a workflow: where its steps and the lines between them lie. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::apps::JobStepView;

/// Width and height of a step, and the space between steps, in pixels.
const WIDTH: i32 = 152;
const HEIGHT: i32 = 54;
const GAP_X: i32 = 20;
const GAP_Y: i32 = 38;
/// Space around the drawing, for the focus ring and the lines' ends.
const MARGIN: i32 = 4;
/// Characters of a name that fit into a step.
const NAME: usize = 17;

/// A step where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GraphNode {
    pub name: String,
    /// The name as it fits.
    pub short: String,
    /// None outside of a run.
    pub state: Option<String>,
    /// How many containers it has, when several.
    pub width: usize,
    pub x: i32,
    pub y: i32,
}

impl GraphNode {
    /// Where its name begins.
    pub(crate) fn text_x(&self) -> i32 {
        self.x + 14
    }

    pub(crate) fn name_y(&self) -> i32 {
        self.y + 23
    }

    pub(crate) fn state_y(&self) -> i32 {
        self.y + 41
    }

    /// Where the number of its containers ends.
    pub(crate) fn count_x(&self) -> i32 {
        self.x + WIDTH - 12
    }
}

/// A workflow as it is drawn: from top to bottom, so that it fits a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Graph {
    pub nodes: Vec<GraphNode>,
    /// The paths of the lines.
    pub edges: Vec<String>,
    pub width: i32,
    pub height: i32,
}

impl Graph {
    /// Of the steps of a workflow. Each lies below all it needs, and near the middle of these.
    pub(crate) fn of(steps: &[JobStepView]) -> Self {
        let rows = rows(steps);
        let widest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let across = |count: usize| {
            let count = i32::try_from(count).unwrap_or(i32::MAX / (2 * WIDTH));
            (count * (WIDTH + GAP_X) - GAP_X).max(0)
        };
        let inner = across(widest);
        let mut places: BTreeMap<&str, (i32, i32)> = BTreeMap::new();
        let mut y = MARGIN;
        for row in &rows {
            let mut x = MARGIN + (inner - across(row.len())) / 2;
            for step in row {
                places.insert(&step.name, (x, y));
                x += WIDTH + GAP_X;
            }
            y += HEIGHT + GAP_Y;
        }
        let nodes = steps.iter().filter_map(|step| {
            let (x, y) = *places.get(step.name.as_str())?;
            let name = step.name.clone();
            Some(GraphNode { short: shortened(&name), name, state: step.state.clone(), width: step.items.len(), x, y })
        });
        let edges = steps.iter().flat_map(|step| {
            let to = places.get(step.name.as_str()).copied();
            // What another need implies is not drawn.
            let drawn =
                step.needs.iter().filter(|need| !step.needs.iter().any(|n| n != *need && leads(steps, n, need)));
            let from = drawn.filter_map(|need| places.get(need.as_str()).copied());
            from.filter_map(move |from| Some(edge(from, to?)))
        });
        Self { nodes: nodes.collect(), edges: edges.collect(), width: inner + 2 * MARGIN, height: y - GAP_Y + MARGIN }
    }

    pub(crate) fn node_width(&self) -> i32 {
        WIDTH
    }

    pub(crate) fn node_height(&self) -> i32 {
        HEIGHT
    }
}

/// The steps by how many must come before each, and in a row by where those lie that they need.
fn rows(steps: &[JobStepView]) -> Vec<Vec<&JobStepView>> {
    let by_name: BTreeMap<&str, &JobStepView> = steps.iter().map(|s| (s.name.as_str(), s)).collect();
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    for step in steps {
        depth(step, &by_name, &mut depths, 0);
    }
    let mut rows: Vec<Vec<&JobStepView>> = Vec::new();
    for step in steps {
        let at = depths[step.name.as_str()];
        rows.resize_with(rows.len().max(at + 1), Vec::new);
        rows[at].push(step);
    }
    let mut columns: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &mut rows {
        row.sort_by_key(|step| {
            let above: Vec<usize> = step.needs.iter().filter_map(|n| columns.get(n.as_str()).copied()).collect();
            let middle = above.iter().sum::<usize>() * 100 / above.len().max(1);
            (middle, step.name.as_str())
        });
        // A row of fewer steps is drawn in the middle, so places are counted from there.
        columns.extend(row.iter().enumerate().map(|(at, step)| (step.name.as_str(), at)));
    }
    rows
}

fn depth<'a>(
    step: &'a JobStepView,
    all: &BTreeMap<&str, &'a JobStepView>,
    known: &mut BTreeMap<&'a str, usize>,
    guard: usize,
) -> usize {
    if let Some(depth) = known.get(step.name.as_str()) {
        return *depth;
    }
    // Manifests with circles are refused; this only keeps a damaged row from hanging a page.
    let needs = step.needs.iter().filter_map(|n| all.get(n.as_str())).filter(|_| guard <= all.len());
    let found = needs.map(|need| depth(need, all, known, guard + 1) + 1).max().unwrap_or(0);
    known.insert(&step.name, found);
    found
}

/// Largest number of steps for which lines that others imply are looked for: it takes the cube of it.
const LOOKED_AT: usize = 64;

/// Whether a step comes, over others or not, after another one.
fn leads(steps: &[JobStepView], later: &str, earlier: &str) -> bool {
    if steps.len() > LOOKED_AT {
        return false;
    }
    let mut seen = BTreeSet::from([later]);
    let mut open = vec![later];
    while let Some(step) = open.pop().and_then(|name| steps.iter().find(|s| s.name == name)) {
        for need in &step.needs {
            if need == earlier {
                return true;
            }
            if seen.insert(need) {
                open.push(need);
            }
        }
    }
    false
}

/// A line from the foot of one step to the head of another.
fn edge((from_x, from_y): (i32, i32), (to_x, to_y): (i32, i32)) -> String {
    let (x1, y1) = (from_x + WIDTH / 2, from_y + HEIGHT);
    let (x2, y2) = (to_x + WIDTH / 2, to_y);
    let bend = (y2 - y1) / 2;
    format!("M{x1} {y1}C{x1} {} {x2} {} {x2} {y2}", y1 + bend, y2 - bend)
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    name.chars().take(NAME - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, needs: &[&str]) -> JobStepView {
        JobStepView {
            name: name.to_owned(),
            service: "tool".to_owned(),
            needs: needs.iter().map(|n| (*n).to_owned()).collect(),
            trigger: "on-success".to_owned(),
            condition: None,
            items: Vec::new(),
            state: None,
            reason: None,
            attempts: Vec::new(),
        }
    }

    #[test]
    fn each_step_lies_below_what_it_needs_and_none_over_another() {
        let steps = [
            step("a", &[]),
            step("b", &["a"]),
            step("c", &["a"]),
            step("d", &["b", "c"]),
            step("alone", &[]),
            step("last", &["a", "d"]),
        ];
        let graph = Graph::of(&steps);
        let y = |name: &str| graph.nodes.iter().find(|n| n.name == name).map(|n| n.y).unwrap();
        for step in &steps {
            assert!(step.needs.iter().all(|need| y(need) < y(&step.name)), "{}", step.name);
        }
        for (at, one) in graph.nodes.iter().enumerate() {
            assert!(one.x >= 0 && one.x + WIDTH <= graph.width && one.y + HEIGHT <= graph.height);
            let apart = |other: &GraphNode| one.y != other.y || (one.x - other.x).abs() >= WIDTH;
            assert!(graph.nodes[at + 1..].iter().all(apart), "{} lies over another", one.name);
        }
        assert_eq!(graph.edges.len(), 5, "that from a to last follows from the others");
    }

    #[test]
    fn a_damaged_graph_is_drawn_too() {
        let graph = Graph::of(&[step("a", &["b"]), step("b", &["a"]), step("c", &["gone"])]);
        assert_eq!(graph.nodes.len(), 3);
        assert_eq!(Graph::of(&[]).edges.len(), 0);
        assert_eq!(shortened("a-very-long-name-of-a-step"), "a-very-long-name…");
    }
}
