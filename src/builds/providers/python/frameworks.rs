//! Which web framework a Python project uses and how it is started.

use super::MAINS;
use super::deps::Project;
use crate::builds::model::{BuildPlan, CommandLine, Note, Step};
use crate::builds::parse;
use crate::builds::source::SourceTree;

/// Framework, package that tells it, class of the app object, whether it speaks ASGI.
const OBJECTS: &[(&str, &str, &str, bool)] = &[
    ("fastapi", "fastapi", "FastAPI", true),
    ("fasthtml", "python-fasthtml", "FastHTML", true),
    ("starlette", "starlette", "Starlette", true),
    ("litestar", "litestar", "Litestar", true),
    ("quart", "quart", "Quart", true),
    ("sanic", "sanic", "Sanic", true),
    ("flask", "flask", "Flask", false),
    ("bottle", "bottle", "Bottle", false),
    ("falcon", "falcon", "falcon.App", false),
];

pub(super) fn apply(plan: &mut BuildPlan, tree: &SourceTree, project: &Project) {
    if tree.has("manage.py") && (project.has("django") || !settings_modules(tree).is_empty()) {
        return django(plan, tree, project);
    }
    for (name, package, class, asgi) in OBJECTS {
        if project.has(package) {
            plan.framework = Some((*name).into());
            plan.start = object(tree, class).map(|object| server(plan, project, name, &object, *asgi));
            break;
        }
    }
    if plan.start.is_none() && project.has("streamlit") {
        plan.framework = Some("streamlit".into());
        let main = tree.first_of(&["streamlit_app.py", "app.py", "main.py"]);
        plan.start = main.map(|m| {
            CommandLine::parse(&format!(
                "streamlit run {m} --server.address=0.0.0.0 --server.port=$PORT --server.headless=true"
            ))
        });
    }
    if plan.start.is_none() {
        plan.start = tree.first_of(MAINS).map(|main| CommandLine::exec(&["python", main]));
    }
}

fn server(plan: &mut BuildPlan, project: &Project, name: &str, object: &str, asgi: bool) -> CommandLine {
    let module = object.trim_end_matches("()");
    let text = match (asgi, project.has("uvicorn"), project.has("gunicorn")) {
        (true, true, _) => format!("uvicorn {module} --host 0.0.0.0 --port $PORT"),
        (true, false, _) if project.has("hypercorn") => format!("hypercorn --bind 0.0.0.0:$PORT {module}"),
        (false, _, true) => format!("gunicorn --bind 0.0.0.0:$PORT {}", shell_word(object)),
        (false, ..) if project.has("waitress") => {
            let call = if object.ends_with("()") { "--call " } else { "" };
            format!("waitress-serve --listen=0.0.0.0:$PORT {call}{module}")
        }
        (false, ..) if name == "flask" => {
            plan.notes.push(development_server("gunicorn"));
            format!("flask --app {module} run --host 0.0.0.0 --port $PORT")
        }
        (true, ..) => {
            plan.install.push(extra("uvicorn"));
            plan.notes.push(Note::Info(
                "uvicorn is added: the project names no server; add it to its dependencies to fix its version".into(),
            ));
            format!("uvicorn {module} --host 0.0.0.0 --port $PORT")
        }
        (false, ..) => {
            plan.install.push(extra("gunicorn"));
            plan.notes.push(Note::Info(
                "gunicorn is added: the project names no server; add it to its dependencies to fix its version".into(),
            ));
            format!("gunicorn --bind 0.0.0.0:$PORT {}", shell_word(object))
        }
    };
    CommandLine::parse(&text)
}

fn shell_word(object: &str) -> String {
    if object.ends_with(')') { format!("'{object}'") } else { object.to_owned() }
}

fn extra(package: &str) -> Step {
    Step::new(format!("pip install {package}")).cached("pip", "/root/.cache/pip")
}

fn development_server(better: &str) -> Note {
    Note::Warning(format!(
        "the app is started with its development server, because no production server is among its dependencies; add `{better}`"
    ))
}

fn settings_modules(tree: &SourceTree) -> Vec<&str> {
    tree.paths().filter(|p| p.ends_with("/settings.py") || p.ends_with("/settings/base.py")).collect()
}

fn django(plan: &mut BuildPlan, tree: &SourceTree, project: &Project) {
    plan.framework = Some("django".into());
    let module = |file: &str| {
        let ending = format!("/{file}.py");
        let path = tree.paths().find(|p| p.ends_with(&ending))?;
        Some(path.trim_end_matches(".py").replace('/', "."))
    };
    let text = if let (true, Some(wsgi)) = (project.has("gunicorn"), module("wsgi")) {
        format!("gunicorn --bind 0.0.0.0:$PORT {wsgi}")
    } else if let (true, Some(asgi)) = (project.has("uvicorn"), module("asgi")) {
        format!("uvicorn {asgi}:application --host 0.0.0.0 --port $PORT")
    } else {
        plan.notes.push(development_server("gunicorn"));
        "python manage.py runserver --noreload 0.0.0.0:$PORT".to_owned()
    };
    plan.start = Some(CommandLine::parse(&text));
    if settings_modules(tree).iter().any(|p| parse::hint(tree, p).contains("STATIC_ROOT")) {
        plan.build.push(Step::new("SECRET_KEY=only-while-building python manage.py collectstatic --noinput"));
    }
    plan.notes.push(Note::Info(
        "migrations are not run by themselves; add `release: python manage.py migrate` to the Procfile".into(),
    ));
}

/// `module:variable` of the app object, or `module:factory()`.
fn object(tree: &SourceTree, class: &str) -> Option<String> {
    let named = ["app.py", "main.py", "wsgi.py", "asgi.py", "server.py", "application.py", "api.py", "run.py"];
    let near = tree.paths().filter(|p| p.ends_with(".py") && p.matches('/').count() <= 2 && !p.contains("test"));
    let files: Vec<&str> = named.into_iter().filter(|f| tree.has(f)).chain(near).collect();
    let module = |file: &str| {
        let file = file.strip_prefix("src/").unwrap_or(file).trim_end_matches(".py");
        file.trim_end_matches("/__init__").replace('/', ".")
    };
    let object = files.iter().find_map(|file| {
        let variable = parse::hint(tree, file).lines().find_map(|l| assigned(l, class))?;
        Some(format!("{}:{variable}", module(file)))
    });
    object.or_else(|| {
        let factory = |file: &&str| parse::hint(tree, file).lines().any(|l| l.starts_with("def create_app("));
        files.iter().copied().find(factory).map(|file| format!("{}:create_app()", module(file)))
    })
}

/// The variable of a line like `app = Flask(__name__)` that starts at the margin.
fn assigned<'l>(line: &'l str, class: &str) -> Option<&'l str> {
    let (left, right) = line.split_once('=')?;
    let callee = right.split_once('(')?.0.trim();
    let variable = left.split(':').next().unwrap_or(left).trim_end();
    let is_name = !variable.is_empty() && variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_name && (callee == class || callee.ends_with(&format!(".{class}")))).then_some(variable)
}
