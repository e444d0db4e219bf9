//! Whether a stack can run on a machine at all: what is set aside for its instances, and where they may stand. Pure.

use super::{Service, Stack};
use crate::kernel::name::ServiceName;

/// What a machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    pub host_name: String,
    pub memory_mib: u64,
    /// Thousandths of a processor core.
    pub cpu_millis: u64,
}

/// Why a stack cannot run on this machine, in one sentence with the figures; `wanted` says how many instances of a service
/// there shall be.
#[must_use]
pub fn refused(stack: &Stack, machine: &Machine, wanted: impl Fn(&ServiceName, &Service) -> u32) -> Option<String> {
    let (mut memory, mut cpu) = (0, 0);
    for (name, service) in stack.services.iter().filter(|(_, s)| s.kind.is_standing()) {
        if let Some(constraint) = service.placement.constraints.iter().find(|c| !is_met(c, machine)) {
            return Some(format!(
                "{name} cannot be placed: it may only run where `{constraint}`, and this machine ({}) is not such a one",
                machine.host_name
            ));
        }
        let n = u64::from(wanted(name, service));
        let most = u64::from(service.placement.max_per_node.unwrap_or(u32::MAX));
        if n > most {
            return Some(format!("{name} cannot be placed: {n} instances are wanted, and one machine may have {most}"));
        }
        memory += n * u64::from(service.reservation.memory_mib);
        cpu += n * u64::from(service.reservation.cpu_millis);
        let each = [
            ("MiB of memory", memory, machine.memory_mib),
            ("thousandths of a processor core", cpu, machine.cpu_millis),
        ];
        if let Some((what, needed, has)) = each.into_iter().find(|(_, needed, has)| needed > has) {
            return Some(format!(
                "{name} cannot be placed: {needed} {what} would be set aside, and this machine has {has}"
            ));
        }
    }
    None
}

/// Whether a constraint holds, as Compose writes them: `node.labels.disk == ssd`. A machine by itself has no labels.
fn is_met(constraint: &str, machine: &Machine) -> bool {
    let (key, value, equal) = match (constraint.split_once("=="), constraint.split_once("!=")) {
        (Some((key, value)), None) => (key.trim(), value.trim(), true),
        (_, Some((key, value))) => (key.trim(), value.trim(), false),
        (None, None) => return false,
    };
    let has = match key {
        "node.hostname" => machine.host_name.as_str(),
        "node.role" => "manager",
        "node.platform.os" => "linux",
        "node.platform.arch" => std::env::consts::ARCH,
        _ => "",
    };
    (has == value) == equal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::ServiceKind;
    use crate::stack::model::ImageRef;

    fn said(change: impl FnOnce(&mut Service)) -> Option<String> {
        let mut web = Service::new(ServiceKind::Web, ImageRef::unpinned("web"));
        web.replicas = 3;
        change(&mut web);
        let stack = Stack { services: [("web".parse().expect("a name"), web)].into(), ..Stack::default() };
        let machine = Machine { host_name: "one".to_owned(), memory_mib: 2_048, cpu_millis: 2_000 };
        refused(&stack, &machine, |_, service| service.replicas)
    }

    #[test]
    fn what_does_not_fit_is_said_with_the_figures() {
        assert_eq!(said(|_| ()), None);
        assert_eq!(said(|s| s.reservation.memory_mib = 600), None);
        let expected = "web cannot be placed: 2100 MiB of memory would be set aside, and this machine has 2048";
        assert_eq!(said(|s| s.reservation.memory_mib = 700).as_deref(), Some(expected));
        let text = said(|s| s.reservation.cpu_millis = 1_000).expect("too much");
        assert!(text.contains("3000 thousandths of a processor core"), "{text}");
        let text = said(|s| s.placement.max_per_node = Some(2)).expect("too many");
        assert!(text.ends_with("3 instances are wanted, and one machine may have 2"), "{text}");
    }

    #[test]
    fn constraints_are_kept() {
        let with = |constraint: &str| said(|s| s.placement.constraints = vec![constraint.to_owned()]);
        for met in ["node.hostname == one", "node.hostname != two", "node.role==manager", "node.labels.disk != ssd"] {
            assert_eq!(with(met), None, "{met}");
        }
        let text = with("node.labels.disk == ssd").expect("no such machine");
        let expected = "web cannot be placed: it may only run where `node.labels.disk == ssd`, and this machine (one) is not such a one";
        assert_eq!(text, expected);
    }
}
