// What is wrong with routes seen together: the same requests, the same name.
internal import TokenKit

enum RouteConflicts {
  private struct Place: Hashable {
    var host: String?
    var prefix: String
  }

  /// Reports routes that take the same requests or have one name.
  static func check(_ routes: [RouteReading.Reading], problems: SettingsProblems) {
    var names: [String: String] = [:]
    var places: [Place: [RouteReading.Reading]] = [:]
    for reading in routes where reading.matchIsSound {
      let (path, route) = (reading.path, reading.route)
      let place = Place(host: route.match.host, prefix: route.match.pathPrefix)
      let rival = places[place, default: []].first { overlap($0.route.match, route.match) }
      places[place, default: []].append(reading)
      if let rival {
        problems.add(
          SettingsProblem(
            path: path,
            message:
              "takes the same requests as \(rival.path) (\"\(rival.route.name)\"); set another host, path_prefix, "
              + "methods or listener"))
      }
      if let owner = names[route.name] {
        if rival == nil {
          problems.add(
            SettingsProblem(
              path: SettingsPath.member("name", of: path), message: "\"\(route.name)\" is also the name of \(owner)"))
        }
      } else {
        names[route.name] = path
      }
    }
  }

  private static func overlap(_ a: RouteMatch, _ b: RouteMatch) -> Bool {
    let listeners = a.listener == nil || b.listener == nil || a.listener == b.listener
    let methods = a.methods.isEmpty || b.methods.isEmpty || !Set(a.methods).isDisjoint(with: b.methods)
    return listeners && methods
  }
}
