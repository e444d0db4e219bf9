//! Ruby with Bundler: Rails, and everything that speaks Rack.

use super::{Spec, app_folder, from_build, present};
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, CommandLine, Note, PackageManager, ProviderId, Step};
use crate::builds::parse;
use crate::builds::source::SourceTree;
use crate::builds::versions::{Known, Wish, choose};

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Ruby,
    looks_for: "Gemfile",
    starts: "Rails' config/application.rb, config.ru, app.rb, main.rb",
    detect: |tree| tree.has("Gemfile"),
    plan,
};

/// Bundler insists on the exact version a Gemfile names, so all its numbers are kept.
const KNOWN: Known = Known { tool: "ruby", default: "3.4", lines: &["3.5", "3.4", "3.3", "3.2", "3.1"], precision: 3 };

fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let gemfile = parse::text(tree, "Gemfile")?.unwrap_or_default();
    let lock = parse::hint(tree, "Gemfile.lock");
    let mut plan = blank(context, Some(ProviderId::Ruby));
    let version = choose(
        KNOWN,
        context.settings.version.as_deref(),
        [
            Wish::file(tree, ".ruby-version"),
            Wish::tool_files(tree, &["ruby"]),
            gemfile_ruby(gemfile).map(|v| Wish::new(v, "Gemfile")),
        ],
    )?;
    let image = context.image("ruby", &version.version);
    plan.images.build = Some(image.clone());
    plan.images.runtime = image;
    plan.versions.push(version);
    let gem = |name: &str| has_gem(gemfile, lock, name);
    bundle(&mut plan, tree, gemfile);
    packages(&mut plan, &gem);
    rails_or_rack(&mut plan, tree, &gem);
    plan.artifacts.push(from_build("/usr/local/bundle", "/usr/local/bundle"));
    plan.artifacts.push(app_folder(!plan.build.is_empty()));
    Ok(plan)
}

fn gemfile_ruby(gemfile: &str) -> Option<String> {
    let line = gemfile.lines().map(str::trim).find_map(|l| l.strip_prefix("ruby "))?;
    let quoted: Vec<&str> =
        line.split(['"', '\'']).skip(1).step_by(2).filter(|v| v.contains(|c: char| c.is_ascii_digit())).collect();
    (!quoted.is_empty()).then(|| quoted.join(", "))
}

fn has_gem(gemfile: &str, lock: &str, name: &str) -> bool {
    let declared = [format!("gem \"{name}\""), format!("gem '{name}'")];
    gemfile.lines().map(str::trim).any(|l| declared.iter().any(|d| l.starts_with(d.as_str())))
        || lock.lines().any(|l| l.trim_start().strip_prefix(name).is_some_and(|r| r.starts_with(" (")))
}

fn bundle(plan: &mut BuildPlan, tree: &SourceTree, gemfile: &str) {
    let lock = tree.first_of(&["Gemfile.lock"]);
    plan.package_manager = Some(PackageManager { name: "bundler".into(), lockfile: lock.map(str::to_owned) });
    let local = ["path:", "path =>", "gemspec", "eval_gemfile"].iter().any(|w| gemfile.contains(w));
    if !local {
        plan.manifests = present(tree, &["Gemfile", "Gemfile.lock", ".ruby-version"]);
    }
    let common = [("BUNDLE_PATH", "/usr/local/bundle"), ("BUNDLE_WITHOUT", "development:test")];
    plan.build_env.extend(common.map(|(k, v)| (k.to_owned(), v.to_owned())));
    plan.env.extend(common.map(|(k, v)| (k.to_owned(), v.to_owned())));
    if lock.is_some() {
        plan.build_env.insert("BUNDLE_FROZEN".into(), "true".into());
    }
    plan.env.insert("RACK_ENV".into(), "production".into());
    // The gems end in the image, their downloads in a cache.
    plan.build_env.insert("BUNDLE_USER_CACHE".into(), "/root/.bundle-cache".into());
    plan.install.push(Step::new("bundle install --jobs 4 --retry 3").cached("bundle", "/root/.bundle-cache"));
}

fn packages(plan: &mut BuildPlan, gem: &dyn Fn(&str) -> bool) {
    let mut add = |build: &[&str], run: &[&str]| {
        plan.packages.build.extend(build.iter().map(|p| (*p).to_owned()));
        plan.packages.runtime.extend(run.iter().map(|p| (*p).to_owned()));
    };
    add(&["build-essential", "git", "libyaml-dev", "pkg-config"], &["libyaml-0-2"]);
    if gem("pg") {
        add(&["libpq-dev"], &["libpq5"]);
    }
    if gem("mysql2") || gem("trilogy") {
        add(&["default-libmysqlclient-dev"], &["libmariadb3"]);
    }
    if gem("sqlite3") {
        add(&["libsqlite3-dev"], &["libsqlite3-0"]);
    }
    if gem("ruby-vips") || gem("image_processing") {
        add(&[], &["libvips42"]);
    }
}

fn rails_or_rack(plan: &mut BuildPlan, tree: &SourceTree, gem: &dyn Fn(&str) -> bool) {
    if tree.has("config/application.rb") || tree.has("bin/rails") {
        plan.framework = Some("rails".into());
        plan.env.insert("RAILS_ENV".into(), "production".into());
        plan.env.insert("RAILS_LOG_TO_STDOUT".into(), "1".into());
        plan.env.insert("RAILS_SERVE_STATIC_FILES".into(), "1".into());
        plan.build_env.insert("RAILS_ENV".into(), "production".into());
        if gem("bootsnap") {
            plan.build.push(Step::new("bundle exec bootsnap precompile --gemfile app/ lib/"));
        }
        if gem("sprockets-rails") || gem("propshaft") {
            plan.build.push(Step::new("SECRET_KEY_BASE_DUMMY=1 bundle exec rails assets:precompile"));
        }
        plan.start = Some(CommandLine::parse("bundle exec rails server -b 0.0.0.0 -p $PORT"));
        plan.notes.push(Note::Info(
            "migrations are not run by themselves; add `release: bundle exec rails db:migrate` to the Procfile".into(),
        ));
    } else if tree.has("config.ru") {
        plan.framework = Some(if gem("sinatra") { "sinatra" } else { "rack" }.into());
        let text = if gem("puma") {
            "bundle exec puma -b tcp://0.0.0.0:$PORT"
        } else {
            "bundle exec rackup --host 0.0.0.0 --port $PORT"
        };
        plan.start = Some(CommandLine::parse(text));
    } else {
        plan.start = tree
            .first_of(&["app.rb", "main.rb", "server.rb"])
            .map(|f| CommandLine::exec(&["bundle", "exec", "ruby", f]));
    }
}
