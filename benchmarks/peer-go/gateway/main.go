// The gateway on net/http: the routes that the comparison needs.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"benchmarks.test/peer/settings"
	pb "benchmarks.test/peer/videoqueuepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	callTime       = 5 * time.Second
	transferTime   = time.Hour
	chunkBytes     = 256 * 1024
	maxFieldBytes  = 16 * 1024
	maxUploadBytes = 2 << 30
)

var (
	uuid    = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	readers = map[string]bool{"client/uploader": true, "client/viewer": true, "console": true}
	writers = map[string]bool{"client/uploader": true, "console": true}
)

var httpStatus = map[codes.Code]int{
	codes.InvalidArgument:   http.StatusBadRequest,
	codes.PermissionDenied:  http.StatusForbidden,
	codes.NotFound:          http.StatusNotFound,
	codes.ResourceExhausted: http.StatusTooManyRequests,
	codes.Unavailable:       http.StatusServiceUnavailable,
	codes.DeadlineExceeded:  http.StatusGatewayTimeout,
}

type videoJSON struct {
	ID              string          `json:"id"`
	Owner           string          `json:"owner"`
	Title           string          `json:"title"`
	Description     string          `json:"description"`
	ContentType     string          `json:"content_type"`
	SizeBytes       int64           `json:"size_bytes"`
	SHA256          string          `json:"sha256"`
	Status          string          `json:"status"`
	ProgressPercent int32           `json:"progress_percent"`
	FailureReason   *string         `json:"failure_reason"`
	CreatedAt       time.Time       `json:"created_at"`
	UpdatedAt       time.Time       `json:"updated_at"`
	Renditions      []*pb.Rendition `json:"renditions"`
}

type pageJSON struct {
	Videos        []videoJSON `json:"videos"`
	NextPageToken *string     `json:"next_page_token"`
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func jsonOf(video *pb.Video) videoJSON {
	return videoJSON{
		ID:              video.Id,
		Owner:           video.Owner,
		Title:           video.Title,
		Description:     video.Description,
		ContentType:     video.ContentType,
		SizeBytes:       video.SizeBytes,
		SHA256:          hex.EncodeToString(video.Sha256),
		Status:          strings.ToLower(strings.TrimPrefix(video.Status.String(), "VIDEO_STATUS_")),
		ProgressPercent: video.ProgressPercent,
		FailureReason:   orNull(video.FailureReason),
		CreatedAt:       video.CreatedAt.AsTime(),
		UpdatedAt:       video.UpdatedAt.AsTime(),
		Renditions:      append([]*pb.Rendition{}, video.Renditions...),
	}
}

type gateway struct{ queue pb.VideoQueueClient }

// allow wraps a handler, which returns its error, in the decision who may call it.
func allow(names map[string]bool, handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		name := settings.NameIn(*request.TLS)
		if !names[name] {
			fail(response, http.StatusForbidden)
			return
		}
		ctx := metadata.AppendToOutgoingContext(request.Context(), "on-behalf-of", settings.TrustDomain+name)
		if err := handle(response, request.WithContext(ctx)); err != nil {
			code, known := httpStatus[status.Code(err)]
			if !known {
				log.Print(err)
				code = http.StatusInternalServerError
			}
			fail(response, code)
		}
	}
}

func fail(response http.ResponseWriter, code int) {
	response.Header().Set("Content-Type", "application/problem+json")
	response.WriteHeader(code)
	json.NewEncoder(response).Encode(map[string]int{"status": code})
}

func answer(response http.ResponseWriter, code int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	response.Header().Set("Content-Type", "application/json")
	response.WriteHeader(code)
	_, err = response.Write(body)
	return err
}

func idOf(request *http.Request) (string, error) {
	id := request.PathValue("id")
	if !uuid.MatchString(id) {
		return "", status.Error(codes.NotFound, "There is no such video.")
	}
	return id, nil
}

func (g gateway) list(response http.ResponseWriter, request *http.Request) error {
	ctx, cancel := context.WithTimeout(request.Context(), callTime)
	defer cancel()
	page, err := g.queue.ListVideos(ctx, &pb.ListVideosRequest{})
	if err != nil {
		return err
	}
	videos := make([]videoJSON, 0, len(page.Videos))
	for _, video := range page.Videos {
		videos = append(videos, jsonOf(video))
	}
	return answer(response, http.StatusOK, pageJSON{videos, orNull(page.NextPageToken)})
}

func (g gateway) get(response http.ResponseWriter, request *http.Request) error {
	id, err := idOf(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(request.Context(), callTime)
	defer cancel()
	video, err := g.queue.GetVideo(ctx, &pb.GetVideoRequest{Id: id})
	if err != nil {
		return err
	}
	return answer(response, http.StatusOK, jsonOf(video))
}

func (g gateway) post(response http.ResponseWriter, request *http.Request) error {
	request.Body = http.MaxBytesReader(response, request.Body, maxUploadBytes)
	form, err := request.MultipartReader()
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	about := &pb.UploadMetadata{}
	for {
		part, err := form.NextPart()
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if part.FileName() == "" {
			value, err := io.ReadAll(io.LimitReader(part, maxFieldBytes))
			if err != nil {
				return err
			}
			switch part.FormName() {
			case "title":
				about.Title = string(value)
			case "description":
				about.Description = string(value)
			}
			continue
		}
		if about.Title == "" {
			about.Title = part.FileName()
		}
		about.ContentType = part.Header.Get("Content-Type")
		video, err := g.upload(request.Context(), about, part)
		if err != nil {
			return err
		}
		response.Header().Set("Location", "/videos/"+video.Id)
		return answer(response, http.StatusCreated, jsonOf(video))
	}
}

func (g gateway) upload(ctx context.Context, about *pb.UploadMetadata, file *multipart.Part) (*pb.Video, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTime)
	defer cancel()
	stream, err := g.queue.Upload(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&pb.UploadRequest{Part: &pb.UploadRequest_Metadata{Metadata: about}}); err != nil {
		return nil, closing(stream, err)
	}
	if _, err := stream.Header(); err != nil { // the go-ahead
		return nil, err
	}
	var size int64
	chunk, reader := make([]byte, chunkBytes), bufio.NewReaderSize(file, chunkBytes)
	for isLast := false; !isLast; {
		count, err := io.ReadFull(reader, chunk)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
		size += int64(count)
		message := &pb.UploadRequest{Part: &pb.UploadRequest_Chunk{Chunk: chunk[:count]}}
		if _, err := reader.Peek(1); errors.Is(err, io.EOF) {
			isLast, message.End = true, &pb.StreamEnd{SizeBytes: size}
		}
		if err := stream.Send(message); err != nil { // which has serialized it when it returns
			return nil, closing(stream, err)
		}
	}
	return stream.CloseAndRecv()
}

// closing returns why the queue has ended a stream: a failed Send says no more than io.EOF.
func closing(stream grpc.ClientStreamingClient[pb.UploadRequest, pb.Video], sent error) error {
	if _, err := stream.CloseAndRecv(); err != nil {
		return err
	}
	return sent
}

func (g gateway) source(response http.ResponseWriter, request *http.Request) error {
	id, err := idOf(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(request.Context(), transferTime)
	defer cancel()
	stream, err := g.queue.Download(ctx, &pb.DownloadRequest{Id: id})
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	video := first.GetVideo()
	response.Header().Set("Content-Length", strconv.FormatInt(video.GetSizeBytes(), 10))
	response.Header().Set("Content-Type", video.GetContentType())
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			_, err = response.Write(message.GetChunk())
		}
		if err != nil {
			panic(http.ErrAbortHandler) // the header has been sent: all that is left is to break off
		}
	}
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	config, err := settings.TLS(settings.Variable("PEER_IDENTITY"))
	if err != nil {
		return err
	}
	channel, err := grpc.NewClient(settings.Variable("PEER_QUEUE"), grpc.WithTransportCredentials(credentials.NewTLS(config.Clone())))
	if err != nil {
		return err
	}
	defer channel.Close()
	videos := gateway{pb.NewVideoQueueClient(channel)}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /videos", allow(readers, videos.list))
	routes.HandleFunc("POST /videos", allow(writers, videos.post))
	routes.HandleFunc("GET /videos/{id}", allow(readers, videos.get))
	routes.HandleFunc("GET /videos/{id}/source", allow(readers, videos.source))
	listener, err := net.Listen("tcp", settings.Variable("PEER_LISTEN"))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: routes, TLSConfig: config, ReadHeaderTimeout: callTime, IdleTimeout: 75 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { server.Close() })
	if err := settings.Announce(listener.Addr().String()); err != nil {
		return err
	}
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
