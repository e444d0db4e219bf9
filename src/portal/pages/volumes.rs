//! The volumes of an app: what is kept beside its containers.

use askama::Template;

use crate::api::access::{App, In, Me, State};
use crate::portal::PortalState;
use crate::portal::answer::{self, Answer};
use crate::portal::visit::Visit;

use crate::apps::VolumeView;
use crate::portal::app_view::{AppView, Tab};
use crate::portal::i18n::Language;
use crate::portal::shell::{Shell, Theme};

#[derive(Template)]
#[template(path = "pages/volumes.html")]
pub(crate) struct VolumesPage {
    pub shell: Shell,
    pub app: AppView,
    pub tab: Tab,
    pub volumes: Vec<VolumeView>,
}

impl VolumesPage {
    fn size(&self, bytes: &u64) -> String {
        size(*bytes)
    }
}

pub(crate) async fn show(
    State(portal): State<PortalState>,
    Me(who): Me,
    In(caller): In,
    App(app): App,
    visit: Visit,
) -> Answer {
    answer::html(&VolumesPage {
        volumes: portal.apps.volumes(&caller, &app).await?,
        app: portal.app(&visit, &caller, &app).await?,
        shell: portal.inside(&visit, &who, &caller).await?,
        tab: Tab::Volumes,
    })
}

/// Bytes as people read them: `12.4 MiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
pub(crate) fn samples(language: Language) -> Vec<crate::portal::samples::Sample> {
    use crate::apps::AppState;
    use crate::portal::samples::{Sample, app, before, shell};
    let volume = |name: &str, services: &[&str], size_bytes, in_use| VolumeView {
        name: name.into(),
        services: services.iter().map(|&s| s.to_owned()).collect(),
        size_bytes,
        in_use,
        created_at: Some(before(3_000_000)),
    };
    let page = |volumes| VolumesPage {
        shell: shell(language, "/t/acme/shop/production/volumes"),
        app: app(AppState::Running),
        tab: Tab::Volumes,
        volumes,
    };
    let all = vec![
        volume("db", &["db"], Some(51_314_688), Some(true)),
        volume("old-uploads", &[], Some(4_096), Some(false)),
        volume("uploads", &["front", "worker"], None, None),
    ];
    vec![Sample::page("volumes", &page(all)), Sample::page("volumes-empty", &page(vec![]))]
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_short() {
        let check = |bytes, text: &str| assert_eq!(super::size(bytes), text);
        check(0, "0.0 KiB");
        check(1_536, "1.5 KiB");
        check(1 << 20, "1.0 MiB");
        check(51_314_688, "48.9 MiB");
        check(5 << 40, "5.0 TiB");
        check(u64::MAX, "16777215.9 TiB");
    }
}
