//! PHP on Apache: plain pages, Composer projects, Laravel, Symfony.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Spec, app_folder, present};
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, CommandLine, Note, PackageManager, ProviderId, Step};
use crate::builds::parse;
use crate::builds::source::SourceTree;
use crate::builds::versions::{Known, Wish, choose};

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Php,
    looks_for: "composer.json, index.php, public/index.php",
    starts: "index.php or public/index.php",
    detect: |tree| tree.first_of(&["composer.json", "index.php", "public/index.php"]).is_some(),
    plan,
};

const KNOWN: Known =
    Known { tool: "php", default: "8.4", lines: &["8.5", "8.4", "8.3", "8.2", "8.1", "8.0", "7.4"], precision: 2 };

#[derive(Default, Deserialize)]
#[serde(default)]
struct Composer {
    require: BTreeMap<String, String>,
}

/// Extensions that are in the base image, or come from the way PHP was compiled.
const INCLUDED: &[&str] = &[
    "ctype",
    "curl",
    "date",
    "dom",
    "fileinfo",
    "filter",
    "hash",
    "iconv",
    "json",
    "libxml",
    "mbstring",
    "openssl",
    "pcre",
    "pdo",
    "pdo_sqlite",
    "phar",
    "posix",
    "random",
    "readline",
    "reflection",
    "session",
    "simplexml",
    "sodium",
    "spl",
    "sqlite3",
    "standard",
    "tokenizer",
    "xml",
    "xmlreader",
    "xmlwriter",
    "zlib",
];

/// Extensions that `docker-php-ext-install` makes, with the packages that needs.
const EXTENSIONS: &[(&str, &[&str])] = &[
    ("bcmath", &[]),
    ("calendar", &[]),
    ("exif", &[]),
    ("ftp", &["libssl-dev"]),
    ("gd", &["libpng-dev", "libjpeg62-turbo-dev", "libfreetype6-dev"]),
    ("gettext", &[]),
    ("gmp", &["libgmp-dev"]),
    ("intl", &["libicu-dev"]),
    ("mysqli", &[]),
    ("opcache", &[]),
    ("pcntl", &[]),
    ("pdo_mysql", &[]),
    ("pdo_pgsql", &["libpq-dev"]),
    ("pgsql", &["libpq-dev"]),
    ("shmop", &[]),
    ("soap", &["libxml2-dev"]),
    ("sockets", &[]),
    ("sysvmsg", &[]),
    ("sysvsem", &[]),
    ("sysvshm", &[]),
    ("xsl", &["libxslt1-dev"]),
    ("zip", &["libzip-dev"]),
];

fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let composer: Composer = parse::json(tree, "composer.json")?.unwrap_or_default();
    let mut plan = blank(context, Some(ProviderId::Php));
    let version = choose(
        KNOWN,
        context.settings.version.as_deref(),
        [
            Wish::tool_files(tree, &["php"]),
            Wish::file(tree, ".php-version"),
            composer.require.get("php").map(|v| Wish::new(v, "composer.json require.php")),
        ],
    )?;
    plan.images.runtime = context.image("php", &version.version);
    plan.versions.push(version);
    plan.user = "www-data".into();
    plan.framework = framework(tree, &composer).map(str::to_owned);
    if tree.has("composer.json") {
        composer_steps(&mut plan, context);
    }
    extensions(&mut plan, &composer);
    apache(&mut plan, tree);
    plan.artifacts.push(app_folder(plan.images.build.is_some()));
    Ok(plan)
}

fn framework(tree: &SourceTree, composer: &Composer) -> Option<&'static str> {
    let needs = |name: &str| composer.require.contains_key(name);
    if needs("laravel/framework") || tree.has("artisan") {
        Some("laravel")
    } else if needs("symfony/framework-bundle") {
        Some("symfony")
    } else if needs("slim/slim") {
        Some("slim")
    } else if tree.has("wp-config.php") || tree.has("wp-config-sample.php") {
        Some("wordpress")
    } else {
        None
    }
}

fn composer_steps(plan: &mut BuildPlan, context: Context<'_>) {
    let lock = context.tree.first_of(&["composer.lock"]);
    plan.images.build = Some(context.image("composer", ""));
    plan.package_manager = Some(PackageManager { name: "composer".into(), lockfile: lock.map(str::to_owned) });
    if lock.is_none() {
        plan.notes.push(Note::Warning(
            "no composer.lock: two builds of the same commit may install different versions; commit it".into(),
        ));
    }
    plan.manifests = present(context.tree, &["composer.json", "composer.lock"]);
    // Extensions are in the image that runs; the scripts of the project need its source.
    let install = "composer install --no-dev --no-interaction --no-scripts --no-autoloader --ignore-platform-reqs";
    plan.build_env.insert("COMPOSER_ALLOW_SUPERUSER".into(), "1".into());
    plan.build_env.insert("COMPOSER_CACHE_DIR".into(), "/tmp/composer-cache".into());
    plan.install.push(Step::new(install).cached("composer", "/tmp/composer-cache"));
    plan.build.push(Step::new("composer dump-autoload --no-dev --optimize --no-scripts"));
}

fn extensions(plan: &mut BuildPlan, composer: &Composer) {
    let mut wanted: Vec<&str> = Vec::new();
    for name in composer.require.keys().filter_map(|k| k.strip_prefix("ext-")) {
        let name = name.to_ascii_lowercase();
        match EXTENSIONS.iter().find(|(known, _)| *known == name) {
            Some((known, packages)) => {
                wanted.push(known);
                plan.packages.runtime.extend(packages.iter().map(|p| (*p).to_owned()));
            }
            None if INCLUDED.contains(&name.as_str()) => {}
            None => plan.notes.push(Note::Warning(format!(
                "composer.json wants the PHP extension {name}, which is not installed by itself; use a Dockerfile that adds it (`pecl install {name}`)"
            ))),
        }
    }
    if plan.framework.as_deref() == Some("laravel") && !wanted.contains(&"pdo_mysql") {
        wanted.push("pdo_mysql");
    }
    if !wanted.is_empty() {
        plan.runtime_steps.push(Step::new(format!("docker-php-ext-install -j2 {}", wanted.join(" "))));
    }
}

/// Apache listens on `PORT`, which it reads when it starts, and serves `public/` where the app has one.
fn apache(plan: &mut BuildPlan, tree: &SourceTree) {
    let root = if tree.has("public/index.php") { "/app/public" } else { "/app" };
    let site = concat!(
        "printf '%s\\n' 'Listen ${PORT}' > /etc/apache2/ports.conf && printf '%s\\n' ",
        "'<VirtualHost *:${PORT}>' 'DocumentRoot ${DOCUMENT_ROOT}' 'ErrorLog /dev/stderr' 'CustomLog /dev/stdout combined' '</VirtualHost>' ",
        "'<Directory /app>' 'AllowOverride All' 'Require all granted' 'Options -Indexes +FollowSymLinks' '</Directory>' ",
        "'<FilesMatch \"^\\.\">' 'Require all denied' '</FilesMatch>' 'ServerName localhost' 'ServerTokens Prod' ",
        "> /etc/apache2/sites-available/000-default.conf"
    );
    plan.runtime_steps.push(Step::new(site));
    plan.runtime_steps.push(Step::new("a2enmod rewrite && a2ensite 000-default"));
    plan.env.insert("DOCUMENT_ROOT".into(), root.into());
    let page = tree.first_of(&["public/index.php", "index.php"]);
    plan.start = page.map(|_| CommandLine::exec(&["apache2-foreground"]));
}
