#pragma once

#include <memory>
#include <string>
#include <vector>

namespace com::zenomt {

class RunLoop;

}

namespace com::zenomt::rtmfp {

class RTMFP;

class Address {
public:
	static std::vector<Address> lookup(const char *host, const char *service);
};

class IPlatformAdapter {};

class PosixPlatformAdapter : public IPlatformAdapter {
public:
	PosixPlatformAdapter(RunLoop *);
	void setRtmfp(RTMFP *);
	std::shared_ptr<Address> addUdpInterface();
};

}
