//! Java with Maven or Gradle, by their wrappers where the project has them.

use super::{Spec, from_build, present};
use crate::builds::detect::{Context, blank};
use crate::builds::error::DetectError;
use crate::builds::model::{BuildPlan, CommandLine, Note, PackageManager, ProviderId, Step};
use crate::builds::parse;
use crate::builds::source::SourceTree;
use crate::builds::versions::{Known, Wish, choose};

pub(super) const SPEC: Spec = Spec {
    id: ProviderId::Java,
    looks_for: "pom.xml, build.gradle, build.gradle.kts",
    starts: "the runnable JAR that the build makes",
    detect: |tree| tree.first_of(&["pom.xml", "build.gradle", "build.gradle.kts"]).is_some(),
    plan,
};

const KNOWN: Known = Known { tool: "java", default: "21", lines: &["25", "21", "17", "11", "8"], precision: 1 };

/// The one JAR that can be started: not the `-plain`, `-sources`, `-javadoc` and `original-` ones beside it.
const PICK_JAR: &str = "find . -path '*/%DIR%/*.jar' ! -name '*-plain.jar' ! -name '*-sources.jar' ! -name '*-javadoc.jar' ! -name 'original-*' -printf '%s %p\\n' | sort -n | tail -1 | cut -d' ' -f2-";

fn plan(context: Context<'_>) -> Result<BuildPlan, DetectError> {
    let tree = context.tree;
    let mut plan = blank(context, Some(ProviderId::Java));
    let version = choose(
        KNOWN,
        context.settings.version.as_deref(),
        [
            properties(tree),
            Wish::tool_files(tree, &["java"]).map(|w| Wish::new(digits(&w.spec), w.source)),
            Wish::file(tree, ".java-version").map(|w| Wish::new(digits(&w.spec), w.source)),
            build_file(tree),
        ],
    )?;
    plan.framework = framework(tree).map(str::to_owned);
    plan.images.runtime = context.image("java-jre", &version.version);
    let maven = tree.has("pom.xml");
    if maven {
        build_maven(&mut plan, context, &version.version)
    } else {
        build_gradle(&mut plan, context, &version.version)
    }
    plan.versions.push(version);
    plan.artifacts.push(from_build("/out/", "/app/"));
    let quarkus = plan.framework.as_deref() == Some("quarkus");
    if quarkus {
        plan.env.insert("QUARKUS_HTTP_HOST".into(), "0.0.0.0".into());
        plan.start = Some(CommandLine::parse("QUARKUS_HTTP_PORT=$PORT java $JAVA_OPTS -jar quarkus-run.jar"));
    } else {
        let port = if plan.framework.as_deref() == Some("spring-boot") { "-Dserver.port=$PORT " } else { "" };
        plan.start = Some(CommandLine::parse(&format!("java $JAVA_OPTS {port}-jar app.jar")));
    }
    // The JVM would otherwise take a quarter of the container's memory.
    plan.env.insert("JAVA_OPTS".into(), "-XX:MaxRAMPercentage=75".into());
    if plan.options.extra_ca.is_some() {
        plan.notes.push(Note::Warning(
            "Java keeps its own trust store and does not read the platform's CA bundle; a build that passes a TLS-inspecting proxy needs a base image with the CA imported".into(),
        ));
    }
    Ok(plan)
}

fn digits(text: &str) -> String {
    let text = if text.starts_with("1.8") { "8" } else { text };
    let start = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    text[start..].chars().take_while(char::is_ascii_digit).collect()
}

/// Heroku's `system.properties`: `java.runtime.version=21`.
fn properties(tree: &SourceTree) -> Option<Wish> {
    let text = parse::hint(tree, "system.properties");
    let line = text.lines().find_map(|l| l.trim().strip_prefix("java.runtime.version"))?;
    Some(Wish::new(digits(line.trim_start_matches(['=', ' '])), "system.properties"))
}

fn build_file(tree: &SourceTree) -> Option<Wish> {
    let pom = parse::hint(tree, "pom.xml");
    for tag in ["java.version", "maven.compiler.release", "maven.compiler.target", "release"] {
        let open = format!("<{tag}>");
        if let Some((_, rest)) = pom.split_once(&open) {
            let version = digits(rest.split('<').next().unwrap_or_default().trim().trim_start_matches("1."));
            if !version.is_empty() {
                return Some(Wish::new(version, format!("pom.xml {tag}")));
            }
        }
    }
    let file = tree.first_of(&["build.gradle", "build.gradle.kts"])?;
    let text = parse::hint(tree, file);
    ["JavaLanguageVersion.of(", "JavaVersion.VERSION_", "jvmToolchain(", "sourceCompatibility"].iter().find_map(|key| {
        let (_, rest) = text.split_once(key)?;
        let rest = rest.lines().next().unwrap_or_default().trim_start_matches(|c: char| !c.is_ascii_digit());
        let version = digits(rest.trim_start_matches("1_").trim_start_matches("1."));
        (!version.is_empty()).then(|| Wish::new(version, file))
    })
}

fn framework(tree: &SourceTree) -> Option<&'static str> {
    let text = ["pom.xml", "build.gradle", "build.gradle.kts"].map(|f| parse::hint(tree, f)).concat();
    [
        ("quarkus", "io.quarkus"),
        ("spring-boot", "springframework.boot"),
        ("micronaut", "io.micronaut"),
        ("ktor", "io.ktor"),
    ]
    .iter()
    .find(|(_, mark)| text.contains(mark))
    .map(|(name, _)| *name)
}

/// Puts what runs into `/out`: `made` is the build's folder, `jars` where in it the JARs are.
fn collect(plan: &mut BuildPlan, made: &str, jars: &str) {
    let run = if plan.framework.as_deref() == Some("quarkus") {
        format!("mkdir -p /out && cp -r {made}/quarkus-app/. /out/")
    } else {
        let pick = PICK_JAR.replace("%DIR%", jars);
        format!("mkdir -p /out && jar=$({pick}) && test -n \"$jar\" && cp \"$jar\" /out/app.jar")
    };
    plan.build.push(Step::new(run));
}

fn build_maven(plan: &mut BuildPlan, context: Context<'_>, version: &str) {
    let tree = context.tree;
    let wrapper = tree.has("mvnw");
    plan.images.build = Some(context.image(if wrapper { "java-jdk" } else { "java-maven" }, version));
    plan.package_manager = Some(PackageManager { name: "maven".into(), lockfile: None });
    let mvn = if wrapper { "sh ./mvnw" } else { "mvn" };
    let cached = |step: Step| step.cached("maven", "/root/.m2");
    let modules = parse::hint(tree, "pom.xml").contains("<modules>");
    if !modules {
        plan.manifests = present(tree, &["pom.xml", "mvnw"]);
        plan.manifests.extend(tree.paths().filter(|p| p.starts_with(".mvn/")).map(str::to_owned));
        plan.install.push(cached(Step::new(format!("{mvn} -B -q dependency:go-offline"))));
    }
    plan.build.push(cached(Step::new(format!("{mvn} -B -DskipTests package"))));
    collect(plan, "target", "target");
}

fn build_gradle(plan: &mut BuildPlan, context: Context<'_>, version: &str) {
    let wrapper = context.tree.has("gradlew");
    plan.images.build = Some(context.image(if wrapper { "java-jdk" } else { "java-gradle" }, version));
    plan.package_manager = Some(PackageManager {
        name: "gradle".into(),
        lockfile: context.tree.first_of(&["gradle.lockfile"]).map(str::to_owned),
    });
    let gradle = if wrapper { "sh ./gradlew" } else { "gradle" };
    plan.build_env.insert("GRADLE_USER_HOME".into(), "/root/.gradle".into());
    plan.build
        .push(Step::new(format!("{gradle} --no-daemon build -x check -x test")).cached("gradle", "/root/.gradle"));
    collect(plan, "build", "build/libs");
}
