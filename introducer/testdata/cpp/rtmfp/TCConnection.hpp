#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "FlashCryptoAdapter_OpenSSL.hpp"
#include "PosixPlatformAdapter.hpp"

namespace com::zenomt {

class Object {};

template <class T> std::shared_ptr<T> share_ref(T *, bool retain);

}

namespace com::zenomt::rtmp {

enum { TCMSG_DATA = 18 };

class AMF0Boolean;
class AMF0Null;
class AMF0Object;
class AMF0String;

class AMF0 : public Object {
public:
	static std::shared_ptr<AMF0Null> Null();
	static std::shared_ptr<AMF0Boolean> True();
	static std::shared_ptr<AMF0String> String(const std::string &);
	static bool decode(const uint8_t *from, const uint8_t *end, std::vector<std::shared_ptr<AMF0>> &values);
	std::shared_ptr<AMF0> getValueAtKey(const std::string &) const;
	const char *stringValue() const;
	std::string repr() const;
};

class AMF0Boolean : public AMF0 {};
class AMF0Null : public AMF0 {};
class AMF0Object : public AMF0 {};
class AMF0String : public AMF0 {};

class TCConnection : public Object {
public:
	using Args = std::vector<std::shared_ptr<AMF0>>;
	using Handler = std::function<void(bool, std::shared_ptr<AMF0>)>;

	bool connect(const Handler &, const std::string &uri, const AMF0Object *, const Args &);
	bool transact(const Handler &, const std::string &name, const Args &);

	std::function<void()> onTransportOpen, onClose;
	std::function<void(std::shared_ptr<AMF0>)> onStatus;
};

}

namespace com::zenomt::rtmfp {

enum ReceiveOrder { RO_SEQUENCE };
enum FIHelloResponseMode { FI_SEND_RHELLO };

class RecvFlow;

class Flow : public Object {
public:
	void setSessionFIHelloMode(FIHelloResponseMode);
};

class SendFlow : public Flow {
public:
	void addCandidateAddress(const Address &);
	std::shared_ptr<void> write(const Bytes &);

	std::function<void(uintmax_t)> onException;
	std::function<void(std::shared_ptr<RecvFlow>)> onRecvFlow;
};

class RecvFlow : public Flow {
public:
	void accept();

	std::function<void(const uint8_t *, size_t, uintmax_t number, size_t fragments)> onMessage;
};

class RTMFP : public Object {
public:
	RTMFP(IPlatformAdapter *, ICryptoAdapter *);
	std::shared_ptr<SendFlow> openFlow(const Bytes &epd, const Bytes &metadata);
};

struct TCMetadata {
	static Bytes encode(uint32_t stream, ReceiveOrder);
};

struct TCMessage {
	static size_t parseHeader(const uint8_t *from, const uint8_t *end, uint8_t *type, uint32_t *timestamp);
	static Bytes command(const char *name, double transaction, const rtmp::TCConnection::Args &);
};

class RunLoopRTMFPTCConnection : public rtmp::TCConnection {
public:
	RunLoopRTMFPTCConnection(RunLoop *);
	bool init(RTMFP *, const Bytes &epd);
	void addCandidateAddresses(const std::vector<Address> &);
	Flow *sessionOpt() const;
};

}
