#pragma once

#include <cstdint>
#include <vector>

namespace com::zenomt::rtmfp {

using Bytes = std::vector<uint8_t>;

class ICryptoAdapter {};

class FlashCryptoAdapter : public ICryptoAdapter {
public:
	bool init(bool isServer, const char *hostname);
	static Bytes makeEPD(const char *fingerprint, const char *ancillary, const char *hostname);
};

class FlashCryptoAdapter_OpenSSL : public FlashCryptoAdapter {};

}
