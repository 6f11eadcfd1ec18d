// The token APIs that this gateway knows: one line each.
internal import Gateway
internal import MisaCukcukProvider
internal import OAuth2Provider
internal import VinIDProvider

enum Registry {
  static let providers = ProviderRegistry([
    VinIDProvider.self,
    MisaCukcukProvider.self,
    OAuth2Provider.self,
  ])
}
